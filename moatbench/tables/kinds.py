"""What a column holds: numbers, yes and no, or names; what is none of these is refused."""

import re
from collections.abc import Sequence

import numpy as np

from moatbench.tables.look import MARKS, TRUTHS, Look, with_gaps
from moatbench.tables.names import FEW, check_names
from moatbench.tables.notation import (
    INFINITE,
    MONEY,
    Unclear,
    Written,
    notation,
    taken_apart,
)
from moatbench.tables.numbers import endless, plain, tell_marks, written
from moatbench.tables.told import Knobs, Report, override
from moatbench.tables.values import NAME, TRUTH, Values

_MONTH = (
    r"(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?"
    r"|oct(ober)?|nov(ember)?|dec(ember)?)\.?"
)
DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[- ][a-z]{3,9}[- ,]+"
    r"\d{2,4}|[a-z]{3,9} \d{1,2},? \d{4})([T ]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
    # A month, a quarter or a week of a year
    r"|-?\d+ days?,? [-+]?\d{1,2}:\d{2}.*"  # as pandas writes a span of time
    r"|\d{4}[-/.](0?[1-9]|1[0-2])|(0?[1-9]|1[0-2])[-/.]\d{4}|\d{4}[-/ ]?[qw]\d{1,2}"
    rf"|q[1-4][-/ ]?\d{{4}}|{_MONTH}[-/ ]+'?\d{{2}}(\d{{2}})?|\d{{4}}[-/ ]+{_MONTH}",
    re.IGNORECASE,
)


def kind_of(look: Look, knobs: Knobs, usual: str | None, report: Report) -> Values | None:
    """Understand a feature; None where it cannot be, and the report says why.

    Args:
        look: at the column.
        knobs: how the file is to be read.
        usual: the decimal sign of its other columns.
        report: takes notes and problems.
    """
    if look.name in knobs.categorical:
        return declared(look)
    infinite = [text for text in look.distinct if INFINITE.fullmatch(text)]
    words = [text for text in look.odd if not is_mark(text, knobs)]
    numeric, some = _numbers(look, words)
    share = sum(look.distinct[text] for text in numeric) / max(look.full, 1)
    if infinite and share + sum(look.distinct[t] for t in infinite) / look.full >= 0.5:
        report.problems.append(endless(look, infinite[0]))
        return None
    if not words and look.full == sum(look.odd.values()):  # nothing but marks, and several
        return _mixed(look, [], set(), 0.0, knobs, report)
    if not words:
        if _may_be_grouped(look, knobs, usual):
            return _read(
                look, [t for t in look.distinct if t not in look.odd], knobs, usual, report
            )
        return plain(look, report)
    if words and set(words) <= TRUTHS.keys() and look.full == sum(look.odd.values()):
        return _truths(look, report)
    if words and all(text in some for text in words) and (share == 1 or _is_measured(look, some)):
        return _read(
            look, [t for t in look.distinct if t not in look.odd or t in some], knobs, usual, report
        )
    dates = [text for text in look.odd if DATE.fullmatch(text)]
    if 2 * sum(look.odd[text] for text in dates) >= max(look.full, 1):
        report.problems.append(_dated(look, dates[0]))
        return None
    return _mixed(look, words, numeric, share, knobs, report)


def declared(look: Look) -> Values:
    """Take a column for names as it stands; numbers as a computer would write them."""
    if look.odd and look.odd.keys() <= TRUTHS.keys() and look.full == sum(look.odd.values()):
        texts = np.array([str(TRUTHS.get(t)) for t in look.texts], dtype=object)
    elif look.odd or all(re.fullmatch(r"-?\d+", text) for text in look.distinct):
        texts = look.texts.astype(object)  # leading zeros stay
    else:
        texts = np.array([str(v) for v in look.numbers.tolist()], dtype=object)
    return Values(NAME, with_gaps(texts, look.empty), look.empty)


def is_mark(text: str, knobs: Knobs) -> bool:
    """Whether a text stands for a missing number; marks that are given are gone by now."""
    return knobs.missing_marks is None and text.casefold() in MARKS


def _numbers(look: Look, words: Sequence[str]) -> tuple[set[str], dict[str, Written]]:
    """Return the texts that are numbers, and how those are written that a computer does not read.

    Numbers with a unit of letters are among the second only: 12A may be a seat.
    """
    found = {text: taken_apart(text) for text in words}
    some = {text: written for text, written in found.items() if written is not None}
    money = {t for t, w in some.items() if not w.unit or re.fullmatch(rf"{MONEY}|%|‰", w.unit)}
    marks = {text for text in look.odd if text not in found}
    plain_ones = {t for t in look.distinct if t not in look.odd and not INFINITE.fullmatch(t)}
    return plain_ones | money | marks, some


def _is_measured(look: Look, some: dict[str, Written]) -> bool:
    """Whether many numbers bear one unit: 180 cm, 165 cm."""
    units = {written.unit for written in some.values()}
    return len(units) == 1 and "" not in units and len(look.distinct) > FEW


def _may_be_grouped(look: Look, knobs: Knobs, usual: str | None) -> bool:
    """Whether a point may not be a decimal one: 1.234 in a file of decimal commas."""
    comma = "," in (knobs.decimal, usual if knobs.decimal is None else None)
    return (comma or knobs.thousands == ".") and any("." in text for text in look.distinct)


def _read(
    look: Look, texts: Sequence[str], knobs: Knobs, usual: str | None, report: Report
) -> Values | None:
    """Read numbers as people write them, if all are written in one way."""
    try:
        how = notation(texts, knobs.decimal, knobs.thousands, usual)
    except Unclear as unclear:
        if not unclear.ways and len(look.distinct) <= FEW:
            return _mixed(look, list(look.odd), set(texts), 1.0, knobs, report)
        shown = " and ".join(look.shown([text]) for text in unclear.texts[:2])
        ways = " or ".join([*unclear.ways, *_ways(look)])
        report.problems.append(f"column {look.name}: {unclear.says}, {shown}; say {ways}")
        return None
    return written(look, texts, how, report)


def _truths(look: Look, report: Report) -> Values:
    missing = np.array([text not in TRUTHS for text in look.texts], dtype=bool)
    tell_marks(look, missing & ~look.empty, report)
    values = np.array([TRUTHS.get(text, False) for text in look.texts], dtype=bool)
    return Values(TRUTH, values, missing)


def _mixed(
    look: Look,
    words: Sequence[str],
    numeric: set[str],
    share: float,
    knobs: Knobs,
    report: Report,
) -> Values | None:
    """Take a column for names, if it is not one of numbers that went wrong."""
    strange = [text for text in words if text not in numeric]
    if share >= 0.5 and strange and len(look.distinct) > FEW:
        many = sum(look.distinct[text] for text in numeric)
        others = f", and {len(strange) - 1} other words" if len(strange) > 1 else ""
        marks = [override("missing_marks", *strange[:5])] if len(strange) <= 5 else []
        wise = " or ".join([*marks, *_ways(look)])
        report.problems.append(
            f"column {look.name} must hold numbers or names, got {many} numbers and "
            f"{look.shown(strange)}{others}; mend the file, or say {wise}"
        )
        return None
    if share > 0 and (strange or words):
        text = next(iter(strange or words))
        report.notes.append(
            f"column {look.name}: {len(look.distinct)} names, some of them numbers: "
            f"{look.shown([text])} is none"
        )
    if not check_names(look, knobs, report):
        return None
    return Values(NAME, with_gaps(look.texts, look.empty), look.empty)


def _dated(look: Look, text: str) -> str:
    return (
        f"column {look.name} must hold numbers or names, got dates or times: "
        f"{look.shown([text])}; write them as numbers (a year, days since), or say "
        f"{' or '.join(_ways(look))}"
    )


def _ways(look: Look) -> list[str]:
    return [override("categorical", look.name), override("drop", look.name)]

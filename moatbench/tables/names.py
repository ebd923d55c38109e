"""Columns of names: too many of them, words that may be missing values, spellings that differ."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from moatbench.tables.look import DOUBTFUL, Look
from moatbench.tables.told import Knobs, Report, many, override, shortened

FEW = 12  # names, up to which a column of numbers may be meant as names: 0, 1, 2, 3+
SOME = 20  # names, up to which a small table may well have as many as rows
MOST_NAMES = 2000  # among which spellings are compared
TRUE = {"true": 1.0, "false": 0.0}


def check_names(look: Look, knobs: Knobs, report: Report) -> bool:
    """Tell what is strange about names; False where there are too many, which is a problem."""
    n = len(look.distinct)
    if 2 * n > look.full and n > SOME:
        first = next(iter(look.distinct))
        report.problems.append(
            f"column {look.name} must hold names that come again, got {n} in {look.full} rows "
            f"({look.shown([first])}): an identifier, or free text; say "
            f"{override('drop', look.name)}, or {override('categorical', look.name)} to keep all"
        )
        return False
    if 2 * n > look.full and n > 2:
        report.notes.append(
            f"column {look.name}: {n} names in {look.full} rows, more than half; "
            f"{override('drop', look.name)} leaves it out"
        )
    digits = sum(look.distinct[text] for text in look.distinct if _is_mostly_digits(text))
    if 2 * digits > look.full and n > FEW:
        text = next(text for text in look.distinct if _is_mostly_digits(text))
        report.notes.append(
            f"column {look.name}: {n} names that look like numbers: {look.shown([text])}"
        )
    tell_doubtful(look, knobs, report)
    tell_alike(f"column {look.name}", look.distinct, report)
    return True


def _is_mostly_digits(text: str) -> bool:
    """Whether digits are half of it or more, signs aside: 12/31, '5', ="7"."""
    digits = sum(letter.isdecimal() for letter in text)
    return digits > 0 and 2 * digits >= sum(letter.isalnum() for letter in text)


def tell_doubtful(look: Look, knobs: Knobs, report: Report) -> None:
    """Tell of words that other programs take for missing, and that are names here."""
    words = [text for text in look.distinct if text.casefold() in DOUBTFUL]
    if words and knobs.missing_marks is None:
        counts = ", ".join(f"{word!r} in {many(look.distinct[word], 'row')}" for word in words)
        report.notes.append(
            f"column {look.name}: {counts} kept as a name (first in {look.place(words[0])}); "
            f"{override('missing_marks', *words)} takes it as missing"
        )


def tell_alike(where: str, names: Mapping[str, int], report: Report) -> None:
    """Tell of names that differ in case, spaces, a full stop, or as numbers are written.

    Those that look the same are told letter by letter: an accent may be a letter of its own.
    """
    for group in alike(names) if len(names) <= MOST_NAMES else []:
        shown = repr if len({_seen(name) for name in group}) == len(group) else ascii
        told = shortened((f"{shown(name)} ({many(names[name], 'row')})" for name in group), 6)
        report.notes.append(
            f"{where}: {told} are names of their own; write them alike if one is meant"
        )


def alike(names: Iterable[str]) -> list[list[str]]:
    """Group the names that may be one."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _seen(name: str) -> str:
    """Return a name as a reader sees it: with accents on their letters, without invisible signs."""
    if name.isascii():
        return name
    whole = unicodedata.normalize("NFKC", name)
    return "".join(letter for letter in whole if unicodedata.category(letter) != "Cf")


def _key(name: str) -> str:
    """Reduce a name to what is left of it without case, spaces and full stops."""
    folded = _seen(name).casefold().strip(" .,;'\"")
    try:
        return str(TRUE.get(folded) if folded in TRUE else float(folded))
    except ValueError:
        return re.sub(r"[\s_-]+", " ", folded) or name

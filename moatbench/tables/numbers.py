"""A column of numbers, as computers write them or as people do; what they lose is told."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from moatbench.tables.look import Look, Mask
from moatbench.tables.notation import Notation
from moatbench.tables.told import Report, many, override
from moatbench.tables.values import NUMBER, Values

EXACT = 2**53  # whole numbers above are not told apart by a float


def plain(look: Look, report: Report) -> Values | None:
    """Take numbers as a computer writes them; None where one is infinite."""
    return _filled(look, {text: text for text in look.distinct if text not in look.odd}, report)


def written(look: Look, texts: Sequence[str], how: Notation, report: Report) -> Values | None:
    """Take numbers as people write them, and tell how; other texts are missing."""
    odd = next((text for text in texts if text in look.odd), "")
    if odd or how != Notation():
        shown, value = look.shown([odd or texts[0]]), how.plain(odd or texts[0])
        told = f" ({how})" if how != Notation() else ""
        report.notes.append(f"column {look.name}: {shown} is read as {value}{told}")
    return _filled(look, {text: how.plain(text) for text in texts}, report)


def _filled(look: Look, known: Mapping[str, str], report: Report) -> Values | None:
    """Put numbers to their rows, unless one is infinite."""
    values, missing = look.each(known)
    if np.isinf(values).any():
        text = str(look.texts[int(np.argmax(np.isinf(values)))])
        report.problems.append(endless(look, text))
        return None
    tell_marks(look, missing & ~look.empty, report)
    _tell_digits(look, report)
    return Values(NUMBER, values, missing)


def tell_marks(look: Look, marked: Mask, report: Report) -> None:
    """Tell which marks were taken as missing."""
    if marked.any():
        counts = {text: n for text, n in look.odd.items() if (look.texts[marked] == text).any()}
        told = ", ".join(f"{text!r} in {many(n, 'row')}" for text, n in list(counts.items())[:5])
        report.notes.append(
            f"column {look.name}: taken as missing: {told} (first in {look.first(marked)})"
        )


def _tell_digits(look: Look, report: Report) -> None:
    """Tell what numbers lose beside their texts: leading zeros, digits beyond 16."""
    led = [text for text in look.distinct if re.match(r"0\d+$", text)]
    if led:
        report.notes.append(
            f"column {look.name}: {look.shown(led)} loses its zero as a number; "
            f"{override('categorical', look.name)} takes all for names"
        )
    tell_rounded(look, report)


def tell_rounded(look: Look, report: Report) -> None:
    """Tell of whole numbers that a float does not hold."""
    long = [t for t in look.distinct if re.match(r"[-+]?\d{16,}$", t) and abs(int(t)) > EXACT]
    if long:
        report.notes.append(
            f"column {look.name}: {look.shown(long)} is rounded, as whole numbers above 2^53 are; "
            f"{override('categorical', look.name)} takes all for names"
        )


def endless(look: Look, text: str) -> str:
    """Say that a number is infinite."""
    return (
        f"column {look.name} must hold finite numbers, got {look.shown([text])}; "
        f"mend the file, or say {override('missing_marks', text)} (missing then) "
        f"or {override('drop', look.name)}"
    )

"""The target: its words are kept, and a quantity or an identifier is not taken for classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.tables.look import TRUTHS, Look
from moatbench.tables.names import alike, tell_alike, tell_doubtful
from moatbench.tables.notation import taken_apart
from moatbench.tables.told import Knobs, Report

MOST = 20  # distinct numbers, up to which nobody would think of a quantity
FEWEST = 4  # rows of a class: fewer hardly reach all shares


def classes_of(look: Look, knobs: Knobs, report: Report) -> NDArray[Any]:
    """Return the class of each row, which all have one: numbers, truths, or texts as they stand.

    The report takes a problem where there are too many to be classes.
    """
    tell_doubtful(look, knobs, report)
    if not look.odd:
        values, _ = look.each({text: text for text in look.distinct})
        classes, counts = np.unique(values, return_counts=True)
        broken = bool((classes != np.round(classes)).any())
        if len(classes) > MOST and (broken or counts.min() < FEWEST):
            report.problems.append(_quantity(look, len(classes)))
        else:
            _tell_merged(look, report)
        return values
    if look.odd.keys() <= TRUTHS.keys() and look.full == sum(look.odd.values()):
        _tell_merged(look, report)
        return np.array([TRUTHS[text] for text in look.texts], dtype=bool)
    tell_alike(f"target {look.name}", look.distinct, report)
    n = len(look.distinct)
    if n > MOST and sum(taken_apart(text) is not None for text in look.distinct) > n / 2:
        report.problems.append(_quantity(look, n))
    elif n > MOST and 2 * n > look.full:
        report.problems.append(
            f"data.target must be a column of classes, got {look.name} with {n} names in "
            f"{look.full} rows ({look.shown(look.distinct)}); choose another column"
        )
    return look.texts


def _tell_merged(look: Look, report: Report) -> None:
    """Tell of classes that are written in several ways, and are one."""
    for group in alike(look.distinct):
        told = ", ".join(f"{text!r} ({look.distinct[text]} rows)" for text in group)
        report.notes.append(f"target {look.name}: {told} are taken for one class")


def _quantity(look: Look, n: int) -> str:
    return (
        f"data.target must be a column of classes, got {look.name} with {n} distinct numbers "
        f"({look.shown(look.distinct)}), which looks like a quantity; choose another column, make "
        f"classes of it, or keep it a feature and predict it: victim=regression_tree "
        f"victim.target={look.name} with another data.target"
    )


def named_classes(name: str, values: NDArray[Any], report: Report) -> None:
    """Tell of classes that a typed file gives by name, and that may be one."""
    found, counts = np.unique(values.astype(str), return_counts=True)
    tell_alike(f"target {name}", dict(zip(found.tolist(), counts.tolist(), strict=True)), report)

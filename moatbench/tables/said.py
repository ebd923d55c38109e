"""What was understood of a table, in one line."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.tables.told import Knobs, Report, many, override
from moatbench.tables.values import NAME, NUMBER, TRUTH

if TYPE_CHECKING:
    import pandas as pd

IDENTIFIER = re.compile(r"(.*[_ .-])?(id|uuid|guid|index|row)", re.IGNORECASE)
MANY = 20  # rows, from which a count of them is none by chance
MOST_CLASSES = 8  # that one line tells


def line_of(
    frame: "pd.DataFrame", kinds: dict[str, str], knobs: Knobs, report: Report, dropped: int
) -> str:
    """Say rows, columns, kinds, dropped rows, classes and their shares, and how it was read."""
    features = [kind for name, kind in kinds.items() if name != knobs.target]
    counts = [
        f"{n} {kind}" if kind == TRUTH else many(n, kind)
        for kind in (NUMBER, TRUTH, NAME)
        if (n := features.count(kind))
    ]
    told = [f"{many(len(frame), 'row')}, {many(len(features), 'column')} ({', '.join(counts)})"]
    if dropped:
        told.append(f"{dropped:,} of {len(frame) + dropped:,} rows dropped")
    if knobs.target is not None:
        told.append(f"{knobs.target}: {shares(frame[knobs.target])}")
    if report.read:
        told.append(f"read with {', '.join(report.read)}")
    return f"{report.source}: {'; '.join(told)}"


def shares(values: "pd.Series[Any]") -> str:
    """Say how many rows bear each class, the most frequent first."""
    found = values.value_counts(normalize=True)
    told = [f"{name} {100 * share:.3g} %" for name, share in found.head(MOST_CLASSES).items()]
    more = len(found) - MOST_CLASSES
    return ", ".join(told) + (f" and {more} more classes" if more > 0 else "")


def tell_constants(frame: "pd.DataFrame", knobs: Knobs, report: Report) -> None:
    """Tell of columns of one value: as a feature nothing can be learnt of it, as a target too."""
    for name in frame.columns if len(frame) > 1 else ():
        if frame[name].nunique() != 1:
            continue
        value = frame[name].iloc[0]
        if name == knobs.target:
            report.notes.append(f"target {name} is {value} in every row: a run needs two classes")
        else:
            report.notes.append(f"column {name} is {value} in every row: no query varies it")


def tell_identifiers(frame: "pd.DataFrame", knobs: Knobs, report: Report) -> None:
    """Tell of columns of whole numbers that name the rows: the model would learn them by heart."""
    for name in frame.columns:
        values = frame[name].to_numpy()
        if name == knobs.target or values.dtype.kind not in "iu" or len(values) < MANY:
            continue
        counts = bool((np.diff(values.astype(np.float64)) == 1).all())
        if counts or (IDENTIFIER.fullmatch(str(name)) and len(np.unique(values)) == len(values)):
            what = "counts the rows" if counts else "gives each row a number of its own"
            report.notes.append(
                f"column {name} {what} ({values[0]}, {values[1]}, ...), an identifier? "
                f"{override('drop', str(name))} leaves it out"
            )

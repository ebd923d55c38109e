"""Which rows of a table are kept, as a data frame; those that are dropped are told."""

from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.tables.look import Mask, with_gaps
from moatbench.tables.sorted_out import Columns, place_of
from moatbench.tables.told import Knobs, Report, many, override, shortened
from moatbench.tables.values import NAME, NUMBER, TRUTH, Values

if TYPE_CHECKING:
    import pandas as pd

MOST_TOLD = 4  # columns of which a line says how many values they lack


def frame_of(
    found: dict[str, Values], columns: Columns, knobs: Knobs, report: Report, without: int
) -> tuple["pd.DataFrame", int]:
    """Keep the rows that lack nothing needed; how many are dropped, those without a class too.

    Raises:
        ValueError: none is left.
    """
    import pandas as pd

    needed = {
        name: values.missing
        for name, values in found.items()
        if knobs.missing == "drop" or values.kind == NUMBER
    }
    lacking = _any(needed, len(next(iter(found.values())).missing))
    if lacking.all():
        raise ValueError(
            f"{report.source}: no complete row is left of {len(lacking) + without} "
            f"({_lacking(needed, columns)}); say {' or '.join(_ways(found, needed, knobs))}"
        )
    if lacking.any():
        report.notes.append(
            f"{many(int(lacking.sum()), 'row')} dropped that lack a value "
            f"({_lacking(needed, columns)})"
        )
    frame = pd.DataFrame({name: _series(values, ~lacking) for name, values in found.items()})
    if knobs.target is not None:
        _tell_lost(found[knobs.target], knobs.target, ~lacking, report)
    return frame, int(lacking.sum()) + without


def _tell_lost(target: Values, name: str, kept: Mask, report: Report) -> None:
    """Tell of classes that vanish with the rows that are dropped."""
    left = set(target.values[kept].tolist())
    gone = [value for value in target.values[~kept].tolist() if value not in left]
    lost = [f"{value} ({many(gone.count(value), 'row')})" for value in dict.fromkeys(gone)]
    if lost:
        report.notes.append(
            f"target {name}: classes that lose all their rows: {shortened(lost, 8)}"
        )


def _any(needed: dict[str, Mask], n: int) -> Mask:
    lacking = np.zeros(n, dtype=bool)
    for missing in needed.values():
        lacking |= missing
    return lacking


def _ways(found: dict[str, Values], needed: dict[str, Mask], knobs: Knobs) -> list[str]:
    """Name overrides that leave some rows: without the emptiest columns, or with missing names."""
    rest, without = dict(needed), list(knobs.drop)
    n = len(next(iter(needed.values())))
    while _any(rest, n).all():
        without.append(max(rest, key=lambda name: int(rest[name].sum())))
        del rest[without[-1]]
    ways = [override("drop", *without)]
    numbers = {name: missing for name, missing in needed.items() if found[name].kind == NUMBER}
    if knobs.missing == "drop" and not _any(numbers, n).all():
        ways.append("data.missing=category")
    return ways


def _series(values: Values, kept: Mask) -> Any:
    import pandas as pd

    if values.kind == TRUTH and values.missing[kept].any():
        texts = with_gaps(values.values.astype(str), values.missing)
        return pd.Series(list(texts[kept]))
    if values.kind == NAME:
        return pd.Series(list(values.values[kept]))
    return pd.Series(values.values[kept])


def _lacking(needed: dict[str, Mask], columns: Columns) -> str:
    """Say which columns lack how much, those that lack most first."""
    counts = {name: int(missing.sum()) for name, missing in needed.items() if missing.any()}
    worst = sorted(counts, key=lambda name: -counts[name])
    told = [f"{name} {counts[name]}" for name in worst[:MOST_TOLD]]
    told += [f"{len(worst) - MOST_TOLD} more columns"] if len(worst) > MOST_TOLD else []
    places = [place_of(columns, needed[name]) for name in worst[:1]]
    return ", ".join(told) + (f"; first in {places[0]}" if places else "")

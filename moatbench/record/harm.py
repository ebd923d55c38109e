"""What groups of honest customers lost, of several attacks or runs the worst."""

from collections.abc import Iterable, Mapping
from math import nan

from moatbench.record.columns import COLUMNS, LARGER
from moatbench.record.summary import Scores

Harm = Mapping[str, Scores]  # group to measures


def worst_of(several: Iterable[Harm]) -> dict[str, dict[str, float]]:
    """Return the worst of each measure of each group, by attack; NaN where nothing was measured."""
    out: dict[str, dict[str, float]] = {}
    for harm in several:
        for group, measures in harm.items():
            kept = out.setdefault(group, {})
            for name, value in measures.items():
                kept[name] = _worse(name, kept.get(name, nan), nan if value is None else value)
    return out


def hardest_hit(harm: Harm) -> str:
    """Name the class of which the fewest labels are kept; '' where all are."""
    kept = {g: m["label_agreement"] for g, m in harm.items() if g.startswith("class ")}
    known = {group: value for group, value in kept.items() if value is not None and value == value}
    least = min(known, key=lambda group: known[group], default="")
    return least if least and known[least] < 1 else ""


def _worse(name: str, one: float, two: float) -> float:
    if one != one or two != two:
        return two if one != one else one
    column = COLUMNS.get(f"honest_{name}")
    return max(one, two) if column is None or column.worse == LARGER else min(one, two)

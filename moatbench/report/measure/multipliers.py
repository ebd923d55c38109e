"""How many times more queries an attacker needs because of a defense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isinf, isnan, nan

from moatbench.record.curve import Row
from moatbench.report.measure.statistics import median
from moatbench.report.measure.worst import UNDEFENDED, Field, number


@dataclass(frozen=True)
class Reach:
    """Queries to a level of fidelity: somewhere in (above, at].

    Args:
        above: the last checkpoint that had not reached it; 0 where the first had.
        at: the first checkpoint that had; infinite where none had (censored at the budget).
    """

    above: float
    at: float


@dataclass(frozen=True)
class Multiplier:
    """Queries with the defense, over queries without; medians over the seeds.

    Args:
        queries: the median reach with the defense.
        ratio: of the checkpoints at which the level was first seen; infinite where censored.
        low: the least ratio that the checkpoints and the budget leave open.
        high: the largest; infinite where censored, or where the first checkpoint was enough.
        seeds: pairs of runs.
        censored: of those, how many never reached the level under the defense.
    """

    queries: Reach
    ratio: float
    low: float
    high: float
    seeds: int
    censored: int


def reach(curve: Sequence[Row], level: float, metric: str) -> Reach:
    """Bracket the queries at which a curve first has `level` (in [0, 1]).

    Checkpoints at which the metric is NaN are as if they were not there; a curve without any other
    brackets nothing (NaN).
    """
    above = 0.0
    known = [row for row in curve if not isnan(number(row, metric))]
    if not known:
        return Reach(nan, nan)
    for row in known:
        if row[metric] >= level:
            return Reach(above, float(row["queries"]))
        above = float(row["queries"])
    return Reach(above, inf)


def multiplier(
    defended: Mapping[str, Sequence[Row]],
    undefended: Mapping[str, Sequence[Row]],
    level: float,
    metric: str = "fidelity_test",
) -> Multiplier:
    """Compare the worst-case curves of the same seeds; NaN where there is no ratio to take.

    There is none where no seed has both, or where some seed's level is not reached even undefended.
    """
    reached, bare = (_reached(of, level, metric) for of in (defended, undefended))
    queries = typical(list(reached.values()))
    pairs = [(with_it, bare[seed]) for seed, with_it in reached.items() if seed in bare]
    censored = sum(isinf(r.at) for r, _ in pairs)
    if not pairs or not all(isfinite(without.at) for _, without in pairs):
        return Multiplier(queries, nan, nan, nan, len(pairs), censored)
    return Multiplier(
        queries,
        ratio=median([r.at / without.at for r, without in pairs]),
        low=median([r.above / without.at for r, without in pairs]),
        high=median([r.at / without.above if without.above else inf for r, without in pairs]),
        seeds=len(pairs),
        censored=censored,
    )


def _reached(curves: Mapping[str, Sequence[Row]], level: float, metric: str) -> dict[str, Reach]:
    found = {seed: reach(curve, level, metric) for seed, curve in curves.items()}
    return {seed: each for seed, each in found.items() if not isnan(each.at)}


def typical(reached: Sequence[Reach]) -> Reach:
    """Take the medians over seeds, of those in which anything was measured; NaN of none."""
    known = [r for r in reached if not isnan(r.at)]
    return Reach(median([r.above for r in known]), median([r.at for r in known]))


def multipliers(
    field: Field, levels: Sequence[int], metric: str = "fidelity_test"
) -> dict[str, dict[int, Multiplier]]:
    """For each defense and level (in per cent), against the undefended API of the same setting."""
    bare = field.worst_of_seeds.get(UNDEFENDED, {})
    return {
        defense: {level: multiplier(curves, bare, level / 100, metric) for level in levels}
        for defense, curves in field.worst_of_seeds.items()
    }

"""Two defenses, paired over seeds: by how much they differ, and whether that could be chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan
from statistics import fmean

from moatbench.record.curve import HEADLINE, Row, area_over_log_queries
from moatbench.report.measure.statistics import Paired, holm, paired
from moatbench.report.measure.worst import UNDEFENDED, Field
from moatbench.report.select.records import Setting

LEVEL = 0.05
Unit = tuple[Setting, str]  # and the seed

MEASURES: dict[str, Callable[[Sequence[Row]], float]] = {
    "fidelity at the budget, test data": lambda curve: float(curve[-1][HEADLINE]),
    "fidelity at the budget, uniform inputs": lambda curve: float(curve[-1]["fidelity_uniform"]),
    "mean fidelity over log queries, test data": lambda curve: area_over_log_queries(
        curve, HEADLINE
    ),
}


@dataclass(frozen=True)
class Comparison:
    """One pair of defenses on one measure.

    Args:
        a: a defense.
        b: another; differences are a - b.
        measure: of the worst-case curve of a setting and seed.
        result: difference, effect size and p.
        corrected: p after Holm's correction within the family.
    """

    a: str
    b: str
    measure: str
    result: Paired
    corrected: float

    @property
    def reading(self) -> str:
        """What may be said of it."""
        if self.corrected < LEVEL:
            return f"lower: {self.a if self.result.difference.mean < 0 else self.b}"
        return "undecided"


def comparisons(fields: Sequence[Field], measure: str, *, against_none: bool) -> list[Comparison]:
    """Compare defenses on the settings and seeds that both have; a family of tests.

    A run in which the measure is unknown (NaN) has no part in it.

    Args:
        fields: the settings.
        measure: a key of `MEASURES`.
        against_none: each defense with the undefended API; False: the defenses with each other.
    """
    scores = _scores(fields, MEASURES[measure])
    others = [name for name in scores if name != UNDEFENDED]
    pairs = [(a, UNDEFENDED) for a in others if UNDEFENDED in scores]
    results = {
        (a, b): result
        for a, b in (pairs if against_none else combinations(others, 2))
        if (result := _compared(scores[a], scores[b])) is not None
    }
    corrected = holm([result.p for result in results.values()])
    return [
        Comparison(a, b, measure, result, p)
        for ((a, b), result), p in zip(results.items(), corrected, strict=True)
    ]


def _compared(a: dict[Unit, float], b: dict[Unit, float]) -> Paired | None:
    shared = [unit for unit in a if unit in b]
    victims: dict[Unit, list[Unit]] = {}
    for setting, seed in shared:
        victims.setdefault((setting, seed.partition(":")[0]), []).append((setting, seed))
    if not shared:
        return None
    # Seeds of one victim are no independent pairs; of a single one they are all there is
    groups = list(victims.values()) if len(victims) > 1 else [[unit] for unit in shared]
    means = ([fmean(scores[u] for u in group) for group in groups] for scores in (a, b))
    return paired(*means)


def _scores(
    fields: Sequence[Field], measure: Callable[[Sequence[Row]], float]
) -> dict[str, dict[Unit, float]]:
    scores: dict[str, dict[Unit, float]] = {}
    for field in fields:
        for defense, curves in field.worst_of_seeds.items():
            for seed, curve in curves.items():
                if not isnan(score := measure(curve)):
                    scores.setdefault(defense, {})[field.setting, seed] = score
    return scores

"""Defenses by their score, beside what honest customers pay."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan, nan

from moatbench.record.columns import COLUMNS
from moatbench.record.curve import Row
from moatbench.record.flag import Flag
from moatbench.record.marks import naive
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.worst import (
    UNDEFENDED,
    Field,
    Worst,
    number,
    over_seeds,
    worst,
    worst_by,
)
from moatbench.report.select.records import Curve, base_name

LABEL_ONLY = "label_only"
WITHHELD = 2.0  # the L1 distance of an answer that tells nothing right: the largest there is
ENOUGH_KEYS = 3  # of a keyed defense: what it costs and leaves depends on the key
LIMITS = (0.0, 0.05, 0.25, 0.5, 1.0)  # of the honest cost


@dataclass(frozen=True)
class Standing:
    """A defense's place.

    Args:
        defense: its name.
        test: the worst-case fidelity on test data at the budget, and the attack that reaches it.
        uniform: the same on uniform inputs.
        cost: mean L1 distance of an honest customer's answers from the victim's, a refused query
            counted as 2; of the attack under which it is largest.
        honest: each column that tells of customers, the worst over the attacks.
        front: no other defense has both a lower worst case and a lower cost, by the means.
        confirmed: the worst attack's fidelity on test data, on seeds that chose nothing; n = 0
            where it was not run again.
        marks: what a reader must know before trusting the row, in a few words each.
        flags: what the runs say of themselves.
    """

    defense: str
    test: Worst
    uniform: Worst
    cost: Interval
    honest: dict[str, Interval]
    front: bool
    confirmed: Interval
    marks: list[str]
    flags: list[Flag]


def standings(field: Field) -> list[Standing]:
    """Rank the defenses of a setting, the lowest worst case first."""
    rows = [_standing(field, defense) for defense in field.defenses if field.against(defense)]
    front = {row.defense for row in rows if not any(_dominates(other, row) for other in rows)}
    floor = next((row for row in rows if row.defense == LABEL_ONLY), None)
    marked = [
        replace(
            row,
            front=row.defense in front and not isnan(row.cost.mean),
            marks=[*row.marks, *_under_attacked(row, floor)],
        )
        for row in rows
    ]
    return sorted(marked, key=lambda row: (row.test.value.mean, row.uniform.value.mean))


def within(rows: Iterable[Standing], limit: float) -> list[Standing]:
    """Those that cost honest customers no more than the limit."""
    return [row for row in rows if row.cost.mean <= limit + 1e-12]


def _standing(field: Field, defense: str) -> Standing:
    against = field.against(defense)
    costs = worst_by(against, lambda c: cost(c.last, regression=field.regression), (0.0, inf))
    paid = [c.name for c in COLUMNS.values() if c.group in ("honest", "shifted")]
    honest = {name: worst(against, name).value for name in paid}
    best = worst(against, "fidelity_test")
    flags = [flag for group in against.values() for c in group for flag in c.run.summary.flags]
    return Standing(
        defense=defense,
        test=best,
        uniform=worst(against, "fidelity_uniform"),
        cost=costs.value,
        honest=honest,
        front=False,
        confirmed=over_seeds(field.confirmations.get((defense, best.attack), ()), "fidelity_test"),
        marks=_marks(field, defense, best.attack),
        flags=sorted(set(flags)),
    )


def cost(row: Row, *, regression: bool = False) -> float:
    """What the answers of a run's honest customers lost, in L1; refusals count `WITHHELD`.

    The values of a regression victim have no scale on which a refusal could be counted: NaN.
    """
    refused, l1 = number(row, "honest_refused"), number(row, "honest_l1_mean")
    if refused == 0.0:
        return l1
    if regression:
        return nan
    return WITHHELD * refused + (0.0 if refused == 1.0 else (1 - refused) * l1)


def _dominates(a: Standing, b: Standing) -> bool:
    ours, theirs = (a.cost.mean, a.test.value.mean), (b.cost.mean, b.test.value.mean)
    return ours != theirs and all(x <= y for x, y in zip(ours, theirs, strict=True))


def _marks(field: Field, defense: str, attack: str) -> list[str]:
    """Say what makes the row less than it seems."""
    against = field.against(defense)
    marks = []
    if any(base_name(attack) in c.run.summary.oracles for c in against[attack]):
        marks.append("upper bound")
    if any(not number(c.last, "converged") for c in against[attack]):
        marks.append("lower bound")
    if defense != UNDEFENDED and not knows_the_defense(field, defense):
        marks.append("naive only")
    missing = {a for _, a in field.curves} - set(against)
    missing -= {a for d, a in field.skips if d == defense}
    if missing:
        marks.append(f"not run: {', '.join(sorted(missing))}")
    fewest = min(len(group) for group in against.values())
    if fewest < len(field.seeds):
        marks.append(f"seeds {fewest} of {len(field.seeds)}")
    if 0 < (keys := _keys(against)) < ENOUGH_KEYS:
        marks.append(f"keys {keys} of {ENOUGH_KEYS}")
    if any(c.run.summary.flags for group in against.values() for c in group):
        marks.append("flagged")
    return marks


def _keys(against: Mapping[str, Sequence[Curve]]) -> int:
    """Count the keys that a keyed defense was attacked under, one a seed; 0 for any other."""
    keyed = {
        c.seed
        for group in against.values()
        for c in group
        if any(seen.get("keys") for seen in c.run.summary.repeated.values())
    }
    return len(keyed)


def knows_the_defense(field: Field, defense: str) -> bool:
    """Whether each kind met an attack that was made to withstand it, in some run of the defense.

    A run that flags itself "naive only" counts as naive.
    """
    runs = [c.run.summary for group in field.against(defense).values() for c in group]
    if any("naive only" in flag.text for run in runs for flag in run.flags):
        return False
    return not naive(runs[0].kinds, (run.aware for run in runs))


def _under_attacked(row: Standing, floor: Standing | None) -> list[str]:
    """Labels can always be used alone: keeping them all, nothing protects more than label-only."""
    if floor is None or row is floor or not row.test.value.n:
        return []
    keeps = row.honest["honest_label_agreement"].mean == 1.0
    open_ = row.honest["honest_refused"].mean == 0.0
    below = row.test.value.mean < floor.test.value.mean
    return ["under-attacked"] if keeps and open_ and below else []


def lowest(rows: Sequence[Standing]) -> list[Standing]:
    """Those with the lowest worst case; several where they are equal."""
    least = min(row.test.value.mean for row in rows)
    return [row for row in rows if row.test.value.mean == least]

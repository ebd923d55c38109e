"""Defenses by their score, beside what honest customers pay."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan, nan

from moatbench.record.columns import COLUMNS
from moatbench.record.curve import Row
from moatbench.record.flag import BOUND, Flag
from moatbench.report.measure.row_flags import (
    UNDER_ATTACKED,
    Flags,
    holds,
    of_a_claim,
    row_flags,
)
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
from moatbench.verdict.case import CONTROLS

LABEL_ONLY = "label_only"
WITHHELD = 2.0  # the L1 distance of an answer that tells nothing right: the largest there is
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
        flags: what a reader must know before trusting the row, the gravest first; each with the
            seeds of the runs that say so, or none where the row itself does.
        beside: the baseline that it is held against; '' for none.
        claims: whether the row claims that its defense holds: less is stolen than behind that one.
    """

    defense: str
    test: Worst
    uniform: Worst
    cost: Interval
    honest: dict[str, Interval]
    front: bool
    confirmed: Interval
    flags: Flags
    beside: str = ""
    claims: bool = False

    @property
    def marks(self) -> list[Flag]:
        """The flags in a few words each, the gravest first."""
        return list(dict.fromkeys(Flag(f.grade, f.words) for f in self.flags))


def standings(field: Field) -> list[Standing]:
    """Rank the defenses of a setting, the lowest worst case first."""
    rows = [_standing(field, defense) for defense in field.defenses if field.against(defense)]
    rows = [_held_against(row, rows) for row in rows]
    front = {row.defense for row in rows if not any(_dominates(other, row) for other in rows)}
    marked = [
        replace(
            row,
            front=row.defense in front and not isnan(row.cost.mean + row.test.value.mean),
            flags=dict(sorted({**row.flags, **{f: [] for f in _beside(field, row, rows)}}.items())),
        )
        for row in rows
    ]
    return sorted(marked, key=lambda row: (*_last(row.test.value), *_last(row.uniform.value)))


def _last(value: Interval) -> tuple[bool, float]:
    """Sort by the mean, and what was not measured behind all else."""
    return isnan(value.mean), value.mean


def within(rows: Iterable[Standing], limit: float) -> list[Standing]:
    """Those that cost honest customers no more than the limit."""
    return [row for row in rows if row.cost.mean <= limit + 1e-12]


def _standing(field: Field, defense: str) -> Standing:
    against = field.against(defense)
    costs = worst_by(against, lambda c: cost(c.last, regression=field.regression), (0.0, inf))
    paid = [c.name for c in COLUMNS.values() if c.group in ("honest", "shifted")]
    honest = {name: worst(against, name).value for name in paid}
    best = worst(against, "fidelity_test")
    return Standing(
        defense=defense,
        test=best,
        uniform=worst(against, "fidelity_uniform"),
        cost=costs.value,
        honest=honest,
        front=False,
        confirmed=over_seeds(field.confirmations.get((defense, best.attack), ()), "fidelity_test"),
        flags=row_flags(field, defense),
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


def _held_against(row: Standing, rows: Sequence[Standing]) -> Standing:
    """Hold a row against label-only, or else no defense, and see whether it claims to hold."""
    named = {other.defense: other for other in rows}
    reference = named.get(LABEL_ONLY) or named.get(UNDEFENDED)
    if row.defense in CONTROLS or reference is None or row is reference:
        return row
    claims = holds(row.test.value, reference.test.value)
    return replace(row, beside=reference.defense, claims=claims)


def _beside(field: Field, row: Standing, rows: Sequence[Standing]) -> Iterator[Flag]:
    """Say what is less about a row when it is held against the baselines."""
    yield from of_a_claim(field, row.defense, claimed=row.claims)
    floor = next((other for other in rows if other.defense == LABEL_ONLY), None)
    yield from _under_attacked(row, floor)


def _under_attacked(row: Standing, floor: Standing | None) -> Iterator[Flag]:
    """Labels can always be used alone: keeping them all, nothing protects more than label-only."""
    if floor is None or row is floor or not row.test.value.n:
        return
    keeps = row.honest["honest_label_agreement"].mean == 1.0
    open_ = row.honest["honest_refused"].mean == 0.0
    mine, theirs = row.test.value.mean, floor.test.value.mean
    if keeps and open_ and mine < theirs:
        text = (
            f"under-attacked: {100 * mine:.1f} %, though it keeps every label, and labels alone "
            f"give {100 * theirs:.1f} %"
        )
        yield Flag(BOUND, text, UNDER_ATTACKED)


def lowest(rows: Sequence[Standing]) -> list[Standing]:
    """Those with the lowest worst case; several where they are equal."""
    least = min((m for row in rows if not isnan(m := row.test.value.mean)), default=nan)
    return [row for row in rows if row.test.value.mean == least]

"""Tables of what the attacks reached: cost multipliers, the matrix, paired tests."""

from collections.abc import Sequence

from moatbench.record.curve import LEVELS
from moatbench.report.measure.comparisons import LEVEL, MEASURES, Comparison, comparisons
from moatbench.report.measure.multipliers import multipliers
from moatbench.report.measure.worst import Field, number, over_seeds
from moatbench.report.write.numerals import (
    INTERVAL,
    p_value,
    percent,
    points,
    queries,
    ratio,
    significant,
)
from moatbench.report.write.tables import NOTHING, Group, Head, Table


def cost_multipliers(fields: Sequence[Field], metric: str) -> Table:
    """Queries to each level, and the factor over the undefended API."""
    on = "test data" if metric == "fidelity_test" else "uniform inputs"
    groups = []
    for field in fields:
        rows = [
            [defense, *(cell for m in levels.values() for cell in (queries(m.queries), ratio(m)))]
            for defense, levels in multipliers(field, LEVELS, metric).items()
        ]
        groups.append(Group(str(field.setting) if len(fields) > 1 else "", rows))
    return Table(
        f"multipliers_{metric.removeprefix('fidelity_')}",
        f"Cost multipliers, {on}",
        f"Queries of the worst case to a level of fidelity on {on}, and how many times more than "
        "undefended: medians over seeds, paired. Queries are the first checkpoint at the level, "
        "<= where it is the first of all, > where none is (censored at the budget). The range "
        "beside a factor is what the spacing of the checkpoints leaves open; unresolved where "
        "that is everything; - where some seed's level is not reached even undefended.",
        [
            Head("defense", number=False),
            *(Head(h) for v in LEVELS for h in (f"queries to {v} %", f"x undefended, {v} %")),
        ],
        groups,
        folded=metric != "fidelity_test",
    )


def heat(fields: Sequence[Field], metric: str) -> Table:
    """Mean fidelity at the budget of each attack on each defense."""
    on = "test data" if metric == "fidelity_test" else "uniform inputs"
    attacks = list(dict.fromkeys(a for field in fields for _, a in field.curves))
    groups = []
    for field in fields:
        rows = [
            [defense, *(_heat_cell(field, defense, attack, metric) for attack in attacks)]
            for defense in field.defenses
        ]
        groups.append(Group(str(field.setting) if len(fields) > 1 else "", rows))
    return Table(
        f"attacks_{metric.removeprefix('fidelity_')}",
        f"Attack by defense, {on}",
        f"Mean fidelity over seeds in % on {on} at the budget. A star: a fit had not converged, "
        "a lower bound, or had not begun. n/a: the attack does not apply; those that never do are "
        "left out.",
        [Head("defense", number=False), *(Head(attack) for attack in attacks)],
        groups,
        folded=True,
    )


def _heat_cell(field: Field, defense: str, attack: str, metric: str) -> str:
    group = field.curves.get((defense, attack))
    if not group:
        return "n/a" if (defense, attack) in field.skips else NOTHING
    late = any(not number(c.last, "converged") for c in group)
    return percent(over_seeds(group, metric).mean) + ("*" if late else "")


def compared(fields: Sequence[Field], measure: str, *, against_none: bool) -> Table:
    """Paired comparisons: a family of tests."""
    found = comparisons(fields, measure, against_none=against_none)
    place = list(MEASURES).index(measure)
    other = "the undefended API" if against_none else "each other"
    floor = min((c.result.floor for c in found), default=1.0)
    few = (
        f" With at most {max(c.result.difference.n for c in found)} pairs p cannot go below "
        f"{significant(floor)}, too much to survive the correction: nothing can be decided."
        if found and floor * len(found) > LEVEL
        else ""
    )
    return Table(
        f"paired_{'none' if against_none else 'all'}_{place + 1}",
        f"Defenses against {other}: {measure}",
        "Differences a - b of the worst case in percentage points, paired by setting and seed "
        f"{INTERVAL}; negative: a is lower. r: matched-pairs rank-biserial correlation. p: "
        "two-sided sign-flip permutation test (scipy), at least 1/2^(n-1) for n pairs; Holm: "
        f"corrected over the {len(found)} tests of this table.{few}",
        [
            Head("a", number=False),
            Head("b", number=False),
            Head("pairs"),
            Head("a - b (pp)"),
            Head("r", "effect size, -1 to 1"),
            Head("p"),
            Head("p (Holm)"),
            Head("reading", "at 5 % after correction", number=False),
        ],
        [Group("", [_comparison(c) for c in found])],
        folded=not (against_none and place == 0),
    )


def _comparison(c: Comparison) -> list[str]:
    d = c.result.difference
    return [
        c.a,
        c.b,
        f"{d.n}",
        points(d),
        f"{c.result.effect:+.2f}",
        p_value(c.result.p),
        p_value(c.corrected),
        c.reading,
    ]

"""Tables of what the attacks reached: cost multipliers, the matrix, paired tests."""

from collections.abc import Sequence
from math import inf, isnan, nan

from moatbench.record.columns import SAMPLES
from moatbench.record.curve import LEVELS
from moatbench.report.measure.baselines import baselines_first
from moatbench.report.measure.comparisons import LEVEL, MEASURES, Comparison, comparisons
from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.multipliers import multipliers
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.worst import Field, number, over_seeds, worst
from moatbench.report.select.records import Curve, base_name
from moatbench.report.write.numerals import (
    INTERVAL,
    p_value,
    percent,
    points,
    queries,
    ratio,
    share,
    significant,
)
from moatbench.report.write.table import BOLD, NOTHING, Group, Head, Table
from moatbench.verdict.case import CONTROLS
from moatbench.verdict.choice import BEARABLE
from moatbench.verdict.names import shown

SLASH = " / "  # between a fidelity and its accuracy
SHOWN = 4  # attacks of a matrix, each with its accuracy: a page has room for no more


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
        "Queries of the worst case to a level of fidelity, and how many times more than "
        "undefended. Medians over seeds, paired. Queries are the first checkpoint at the level, "
        "<= where it is the first of all, > where none is (censored at the budget). The range "
        "beside a factor is what the spacing of the checkpoints leaves open; unresolved where "
        "that is everything; - where some seed's level is not reached even undefended.",
        [
            Head("defense", number=False, narrow=True, named=True),
            *(
                Head(h, narrow=k == 0)
                for v in LEVELS
                for k, h in enumerate((f"queries to {v} %", f"x undefended, {v} %"))
            ),
        ],
        groups,
        folded=metric != "fidelity_test",
    )


def matrix(fields: Sequence[Field], metric: str) -> Table:
    """Defenses by the attacks that matter, with the maximum over all, as papers print it."""
    on = SAMPLES[metric.removeprefix("fidelity_")]
    chosen = [attack for attack, _ in decisive(fields, metric)[:SHOWN]]
    ran = len({attack for field in fields for _, attack in field.curves})
    less = f" of {ran}, those that the maxima are of" if len(chosen) < ran else ""
    return Table(
        f"attacks_{metric.removeprefix('fidelity_')}",
        f"Defenses by attacks, {on}",
        f"Fidelity of the surrogate (%) at the budget, {INTERVAL}; behind the slash its true "
        f"accuracy. On {on}, means over seeds; accuracy is on test data. Maximum: over all "
        "attacks, with the accuracy of that surrogate. Bold: the lowest of a column among defenses "
        f"that customers can bear, who keep {100 * (1 - BEARABLE):g} % of labels and answers. "
        f"Shown are {len(chosen)} attacks{less}. A star: a fit had not converged, a lower bound, "
        "or had not begun. n/a: the attack does not apply.",
        [
            Head("defense", number=False, narrow=True, named=True),
            Head("maximum", "over all attacks", narrow=True),
            Head("accuracy", "of the surrogate with the maximum, on test data", narrow=True),
            *(Head(shown(attack), f"{attack}: fidelity / accuracy") for attack in chosen),
        ],
        [
            Group(str(f.setting) if len(fields) > 1 else "", _matrix_rows(f, chosen, metric))
            for f in fields
        ],
        folded=True,
    )


def decisive(fields: Sequence[Field], metric: str) -> list[tuple[str, int]]:
    """Rank the attacks, each with the defenses whose maximum it has and none before it had.

    The next is always the one that has most of those left; of equals the one that ran first.
    """
    left = {
        (field.setting, defense): _winners(field, defense, metric)
        for field in fields
        for defense in field.defenses
        if field.against(defense)
    }
    attacks = list(dict.fromkeys(a for field in fields for _, a in field.curves))
    out = []
    while attacks:
        best = max(attacks, key=lambda a: sum(a in winners for winners in left.values()))
        found = [key for key, winners in left.items() if best in winners]
        left = {key: winners for key, winners in left.items() if key not in found}
        attacks.remove(best)
        out.append((best, len(found)))
    return out


def _winners(field: Field, defense: str, metric: str) -> set[str]:
    means = {a: over_seeds(g, metric).mean for a, g in field.against(defense).items()}
    most = max((m for m in means.values() if not isnan(m)), default=nan)
    return {attack for attack, mean in means.items() if mean == most}


def _matrix_rows(field: Field, attacks: Sequence[str], metric: str) -> list[list[str]]:
    rows, best = [], [inf] * (2 + len(attacks))
    for defense in [row.defense for row in baselines_first(standings(field))]:
        against = field.against(defense)
        top = worst(against, metric)
        cells = [(top.value, _late(against.get(top.attack, ())))]
        cells.append((over_seeds(against.get(top.attack, ()), "accuracy"), ""))
        groups = [against.get(attack, ()) for attack in attacks]
        cells += [(over_seeds(g, metric), f"{_late(g)}{_accuracy(g)}") for g in groups]
        if _bearable(field, defense):
            best = [min(b, v.mean) if v.n else b for b, (v, _) in zip(best, cells, strict=True)]
        rows.append((defense, cells))
    return [
        [
            defense,
            *(
                _matrix_cell(value, more, best=_bearable(field, defense) and value.mean == lowest)
                if value.n
                else "n/a"
                if k > 1 and (defense, attacks[k - 2]) in field.skips
                else NOTHING
                for k, ((value, more), lowest) in enumerate(zip(cells, best, strict=True))
            ),
        ]
        for defense, cells in rows
    ]


def _matrix_cell(value: Interval, more: str, *, best: bool) -> str:
    """Show a fidelity with its star and interval, and the accuracy behind the slash."""
    number, sign, half = share(value).partition(" +- ")
    star, slash, accuracy = more.partition(SLASH)
    told = f"{number}{star}{sign}{half}{slash}{accuracy}"
    return f"{BOLD}{told}{BOLD}" if best else told


def _accuracy(group: Sequence[Curve]) -> str:
    """Tell the surrogates' true accuracy; '' where there is none, as in regression."""
    mean = over_seeds(group, "accuracy").mean
    return "" if isnan(mean) else f"{SLASH}{percent(mean)}"


def _late(group: Sequence[Curve]) -> str:
    return "*" if any(not number(c.last, "converged") for c in group) else ""


def _bearable(field: Field, defense: str) -> bool:
    """Whether customers keep nearly all labels and answers; controls are nobody's choice."""
    against = field.against(defense)
    kept = worst(against, "honest_label_agreement").value.mean
    refused = worst(against, "honest_refused").value.mean
    lost = 0.0 if isnan(kept) else 1 - kept
    return base_name(defense) not in CONTROLS and max(lost, refused) <= BEARABLE + 1e-12


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
        f"Paired differences a - b in percentage points, {INTERVAL}. Of the worst case, paired by "
        "setting and seed. Negative: a is lower. Column r: matched-pairs rank-biserial "
        "correlation. Column p: two-sided sign-flip permutation test (scipy), at least 1/2^(n-1) "
        f"for n pairs; Holm: corrected over the {len(found)} tests of this table.{few}",
        [
            Head("a", number=False, named=True, narrow=True),
            Head("b", number=False, named=True, narrow=True),
            Head("pairs"),
            Head("a - b (pp)", narrow=True),
            Head("r", "effect size, -1 to 1"),
            Head("p"),
            Head("p (Holm)", narrow=True),
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
        _read(c.reading),
    ]


def _read(reading: str) -> str:
    """Say which is lower by its name."""
    what, colon, which = reading.partition(": ")
    return f"{what}{colon}{shown(which)}" if colon else reading

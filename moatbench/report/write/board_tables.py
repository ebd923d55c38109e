"""Tables of defenses at their price: the leaderboard, equal honest cost, what customers pay."""

from collections.abc import Sequence
from math import isnan, nan

from moatbench.record import columns
from moatbench.record.flag import shown
from moatbench.record.hardware import told
from moatbench.record.summary import Scores
from moatbench.report.measure.baselines import baselines_first, is_baseline, told_missing
from moatbench.report.measure.leaderboard import LIMITS, Standing, lowest, within
from moatbench.report.measure.statistics import t_interval
from moatbench.report.measure.strengths import strengths
from moatbench.report.measure.worst import Field, worst
from moatbench.report.select.records import base_name
from moatbench.report.write.numerals import INTERVAL, percent, share, significant
from moatbench.report.write.table import NOTHING, Group, Head, Table

MARKS = (
    "A: the number is not what it is called; B: it is one side of the truth only; why is told "
    "below, and notes (C) on a page of their own. baseline: for comparison"
)
WEB = ("honest_l1_max", "honest_ece_undefended")  # for which paper has no room
NARROW = ("honest_label_agreement", "honest_accuracy_lost", "honest_l1_mean", "honest_refused")
BY = "the worst on test data; +n: so many others equal it"


def leaderboard(boards: Sequence[tuple[Field, list[Standing]]]) -> Table:
    """Worst case beside honest cost."""
    return Table(
        "leaderboard",
        "Defense leaderboard",
        f"Worst-case fidelity (%) over the attacks at the budget, {INTERVAL}, beside what honest "
        "customers pay. The worst case is of the mean over seeds; one seed has no interval. Honest "
        "cost: mean L1 distance of honest customers' answers from the victim's, a refused query "
        "counted as 2. Front: no other defense has both a lower worst case on test data and a "
        "lower cost, by the means. Confirmed: the same attack on fresh seeds, which had no part in "
        "choosing it; the maximum of means is biased upwards. "
        f"{told_missing([field for field, _ in boards])}".rstrip(),
        [
            Head("defense", number=False, narrow=True, named=True),
            Head("marks", MARKS, number=False, narrow=True),
            Head("test data", "worst-case fidelity on test data", narrow=True),
            Head("uniform inputs", "worst-case fidelity on uniform valid inputs"),
            Head(
                "gain",
                "on test data, the worst case: what was extracted beyond an attacker without the "
                "API, in % of what that one leaves; 0 is nothing",
                paper=False,
            ),
            Head("by attack", BY, number=False, named=True),
            Head("confirmed", "on test data, that attack on n fresh seeds", number=False),
            Head("honest cost", narrow=True),
            Head(
                "labels changed",
                "% of honest customers' answered queries: of the labels told or of the top "
                "confidences, whichever more",
                paper=False,
            ),
            Head("accuracy lost", "percentage points, on answered queries", paper=False),
            Head("refused", "% of honest customers' queries", paper=False),
            Head("front", number=False),
        ],
        [
            Group(heading(boards, f), [_standing(f, row) for row in baselines_first(rows)])
            for f, rows in boards
        ],
    )


def _standing(field: Field, row: Standing) -> list[str]:
    lost = row.honest["honest_accuracy_lost"].mean
    # Where there are no labels (regression, or nothing answered) none is kept or changed
    kept = nan if isnan(lost) else row.honest["honest_label_agreement"].mean
    top = row.honest["honest_top_agreement"].mean  # NaN where no confidences are told
    return [
        row.defense,
        "; ".join(filter(None, ["baseline" if is_baseline(row) else "", shown(row.marks)])),
        share(row.test.value),
        share(row.uniform.value),
        percent(worst(field.against(row.defense), "gain_test").value.mean),
        str(row.test),
        f"{share(row.confirmed)}, n={row.confirmed.n}" if row.confirmed.n else "not confirmed",
        significant(row.cost.mean),
        percent(1 - (kept if isnan(top) else min(kept, top))),
        percent(lost),
        percent(row.honest["honest_refused"].mean),
        "front" if row.front else "",
    ]


def equal_cost(boards: Sequence[tuple[Field, list[Standing]]]) -> Table:
    """The lowest worst case among the defenses that cost honest customers no more than a limit."""
    groups = []
    for field, rows in boards:
        if field.regression:  # costs are in units of the target there: no limit fits all
            continue
        lines = []
        for limit in LIMITS:
            if not (inside := within(rows, limit)):
                continue
            if not (least := lowest(inside)):
                continue
            lines.append(
                [
                    f"<= {limit:g}",
                    f"{len(inside)} of {len(rows)}",
                    share(least[0].test.value),
                    ", ".join(row.defense for row in least),
                    shown(dict.fromkeys(m for row in least for m in row.marks)),
                ]
            )
        groups.append(Group(heading(boards, field), lines))
    return Table(
        "equal_cost",
        "At equal honest cost",
        "The lowest worst-case fidelity (%, test data, at the budget) among the defenses whose "
        "honest cost is within a limit. Lowest by the means: whether it is more than chance, the "
        "paired comparisons say.",
        [
            Head("honest cost", "mean L1; a refused query counts 2", narrow=True),
            Head("defenses within"),
            Head("lowest worst case", narrow=True),
            Head("of", number=False, narrow=True, named=True),
            Head("marks", MARKS, number=False),
        ],
        groups,
    )


def strength_table(boards: Sequence[tuple[Field, list[Standing]]]) -> Table:
    """What each strength of a defense costs, and what it leaves."""
    groups = [
        Group(
            heading(boards, field),
            [
                [
                    line.name,
                    f"{line.knob} = {value:g}",
                    share(row.test.value),
                    str(row.test),
                    significant(row.cost.mean),
                    percent(row.honest["honest_accuracy_lost"].mean),
                    shown(row.marks),
                ]
                for line in strengths(field, rows)
                for value, row in zip(line.values, line.rows, strict=True)
            ],
        )
        for field, rows in boards
    ]
    return Table(
        "strengths",
        "Strengths of a defense",
        f"Worst-case fidelity (%, test data) at the budget, {INTERVAL}, beside what honest "
        "customers pay. The worst case is over the attacks, of the mean over seeds. A defense that "
        "holds only at a price that nobody would pay does not hold.",
        [
            Head("defense", number=False, narrow=True, named=True),
            Head("strength", number=False, narrow=True),
            Head("worst case", narrow=True),
            Head("by attack", BY, number=False, named=True),
            Head("honest cost", "mean L1; a refused query counts 2", narrow=True),
            Head("accuracy lost", "percentage points, on answered queries"),
            Head("marks", MARKS, number=False),
        ],
        [group for group in groups if group.rows],
    )


def honest(boards: Sequence[tuple[Field, list[Standing]]]) -> Table:
    """What honest customers pay, measure by measure."""
    customers, unusual = columns.shown("page", "honest"), columns.shown("page", "shifted")
    groups = []
    for field, rows in boards:
        lines = []
        for row in baselines_first(rows):
            added, waited = _seconds(field, row.defense)
            times = [significant(1e3 * added), significant(waited)]
            ours, theirs = _cells(row, customers), _cells(row, unusual)
            lines.append([row.defense, *ours, *times, *theirs])
        groups.append(Group(heading(boards, field), lines))
    return Table(
        "honest",
        "What honest customers pay",
        "Means over seeds on the instance under attack, of the attack under which each is worst. "
        f"{_clock([field for field, _ in boards])}",
        [
            Head("defense", number=False, narrow=True, named=True),
            *(
                Head(c.heading, _unit(c), paper=c.name not in WEB, narrow=c.name in NARROW)
                for c in customers
            ),
            Head("ms added", "milliseconds a query, by the clock"),
            Head("s waited", "virtual seconds a query"),
            *(Head(f"{c.heading} (shifted)", _unit(c), paper=False) for c in unusual),
        ],
        groups,
    )


def _clock(fields: Sequence[Field]) -> str:
    """Say on which hardware the added time was measured."""
    runs = [c.run.summary for f in fields for group in f.curves.values() for c in group]
    on = [machine for machine in dict.fromkeys(told(run.hardware) for run in runs) if machine]
    named = "; or of ".join(on) or "the machine that ran"
    return f"Added time is by the clock of {named}."


def _cells(row: Standing, shown: Sequence[columns.Column]) -> list[str]:
    return [_cell(row, c) for c in shown]


def _cell(row: Standing, shown: columns.Column) -> str:
    """Show a mean, a share in per cent; no label is kept where there are none, as in regression."""
    value = row.honest[shown.name].mean
    if shown.name == "honest_label_agreement" and isnan(row.honest["honest_accuracy_lost"].mean):
        return NOTHING
    return percent(value) if shown.unit == "share" else significant(value)


def _unit(shown: columns.Column) -> str:
    return f"{'%, ' if shown.unit == 'share' else ''}{shown.says}"


def _seconds(field: Field, defense: str) -> tuple[float, float]:
    """Seconds added to, and waited for, an honest query: the largest mean of any attack."""
    means: list[tuple[float, float]] = []
    for group in field.against(defense).values():
        names = [n for c in group for n in c.run.summary.summaries.items() if _is(c.attack, n)]
        added, waited = (
            t_interval([_float(s.get(f"honest_seconds_{k}")) for _, s in names]).mean
            for k in ("added", "waited")
        )
        means.append((added, waited))
    columns = list(zip(*means, strict=True))
    return _largest(columns[0]), _largest(columns[1])


def _is(attack: str, named: tuple[str, Scores]) -> bool:
    return base_name(attack) == named[0]


def heading(boards: Sequence[tuple[Field, list[Standing]]], field: Field) -> str:
    """Name the setting, where there are several."""
    return str(field.setting) if len(boards) > 1 else ""


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _largest(values: Sequence[float]) -> float:
    return max((v for v in values if not isnan(v)), default=float("nan"))

"""The report's tables, from what the other modules compute."""

from collections.abc import Sequence
from math import isnan

from moatbench.report.measure.comparisons import MEASURES
from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.statistics import t_interval
from moatbench.report.measure.worst import Field, number
from moatbench.report.select.records import Curve, Selection
from moatbench.report.write.alarm_table import monitors
from moatbench.report.write.answer_table import answers
from moatbench.report.write.attack_tables import compared, cost_multipliers, matrix
from moatbench.report.write.board_tables import equal_cost, honest, leaderboard, strength_table
from moatbench.report.write.flag_tables import flags, reasons
from moatbench.report.write.group_table import groups
from moatbench.report.write.numerals import INTERVAL, share
from moatbench.report.write.table import NOTHING, Group, Head, Table

FOREIGN = "fidelity_foreign"


def tables(selection: Selection, fields: Sequence[Field]) -> list[Table]:
    """All tables that have a row, in the order of the page."""
    boards = [(field, standings(field)) for field in fields]
    abroad = [f for f in fields if any(not isnan(number(c.last, FOREIGN)) for c in _all(f))]
    made = [
        answers(boards),
        settings(fields),
        leaderboard(boards),
        reasons(boards),
        equal_cost(boards),
        strength_table(boards),
        honest(boards),
        cost_multipliers(fields, "fidelity_test"),
        cost_multipliers(fields, "fidelity_uniform"),
        matrix(fields, "fidelity_test"),
        matrix(fields, "fidelity_uniform"),
        *([matrix(abroad, FOREIGN)] if abroad else []),
        monitors(fields, selection.plan),
        *[
            compared(fields, measure, against_none=against_none)
            for against_none in (True, False)
            for measure in MEASURES
        ],
        groups(fields),
        flags(boards),
        not_applicable(fields),
        left_out(selection),
    ]
    return [table for table in made if not table.empty]


def settings(fields: Sequence[Field]) -> Table:
    """What was attacked."""
    rows = []
    for field in fields:
        runs = [c.run.summary for group in field.curves.values() for c in group]
        data = runs[0].data_provenance
        accuracy = {c.seed: c.run.summary.victim_accuracy for c in _all(field)}
        known = [a for a in accuracy.values() if a is not None and not field.regression]
        tests = sorted({c.run.summary.data_provenance.get("test_rows", 0) for c in _all(field)})
        if not tests[0] and "test_share" in data:  # of an earlier version, which split all rows
            tests = [round(data["rows"] * data["test_share"])]
        rows.append(
            [
                field.setting.victim,
                field.setting.data,
                str(data.get("sha256", NOTHING))[:12],
                " to ".join(f"{n:,}" for n in dict.fromkeys((tests[0], tests[-1])) if n) or NOTHING,
                share(t_interval(known, 0.0, 1.0)),
                f"{len(field.seeds)}",
                ", ".join(f"{q:,}" for q in field.checkpoints),
            ]
        )
    return Table(
        "settings",
        "What was attacked",
        f"Victims, their accuracy in % on the judge's test points ({INTERVAL}), and budgets. "
        "With n test points, no disagreement seen bounds the rate below 3/n.",
        [
            Head("victim", number=False, narrow=True, named=True),
            Head("data", number=False, narrow=True, named=True),
            Head("sha256", "of the data's content, first 12 digits", number=False),
            Head("test points", narrow=True),
            Head("accuracy", narrow=True),
            Head("seeds", narrow=True),
            Head("checkpoints (queries)", number=False),
        ],
        [Group("", rows)],
    )


def not_applicable(fields: Sequence[Field]) -> Table:
    """Attacks that do not apply, with the reason."""
    rows = [
        [str(field.setting), defense, attack, reason]
        for field in fields
        for (defense, attack), reason in field.skips.items()
    ]
    return Table(
        "not_applicable",
        f"Attacks that do not apply ({len(rows)})",
        "They are no part of a worst case.",
        [
            Head(h, number=False, named=h in ("defense", "attack"))
            for h in ("setting", "defense", "attack", "reason")
        ],
        [Group("", rows)],
        folded=True,
    )


def left_out(selection: Selection) -> Table:
    """Runs that are not averaged."""
    done = {run.tags.get("config_hash") for run in selection.runs}
    rows = [
        [
            run.name,
            run.id,
            run.state.lower(),
            "yes" if run.tags.get("config_hash") in done else "no",
        ]
        for run in selection.left_out
    ]
    return Table(
        "left_out",
        f"Runs left out ({len(rows)})",
        "They did not finish: they are counted here and averaged nowhere.",
        [
            *(Head(h, number=False) for h in ("run", "id", "state")),
            Head("finished later", "a run of the same config did", number=False),
        ],
        [Group("", rows)],
        folded=True,
    )


def _all(field: Field) -> list[Curve]:
    return [c for group in field.curves.values() for c in group]

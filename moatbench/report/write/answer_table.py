"""Which defense to deploy before each model: a row for each, where sentences would be many."""

from collections.abc import Sequence

from moatbench.report.measure.cases import cases
from moatbench.report.measure.leaderboard import Standing
from moatbench.report.measure.worst import Field
from moatbench.report.write.numerals import percent
from moatbench.report.write.table import NOTHING, Group, Head, Table
from moatbench.verdict.choice import pick, undefended, unproven
from moatbench.verdict.names import shown
from moatbench.verdict.words import named, paid_briefly

SENTENCES = 3  # models: of more, a reader wants a table


def answers(boards: Sequence[tuple[Field, list[Standing]]]) -> Table:
    """What to deploy before each model; no row where sentences say it."""
    rows = [_row(field, rows) for field, rows in boards] if len(boards) > SENTENCES else []
    return Table(
        "answers",
        "Which defense to deploy",
        "Worst-case fidelity on test data (%) behind the defense, of those that customers can "
        "bear, that leaves a thief least. It holds where a thief gains less than half of what one "
        "without the API lacks, and helps most where he gains more. Too dear: none that customers "
        "can bear helps. Not shown to hold: the least of all that were tried, and no less than "
        "chance explains.",
        [
            Head("model", number=False, narrow=True),
            Head("undefended", "what a thief has with no defense", narrow=True),
            Head("defense", number=False, narrow=True, named=True),
            Head("verdict", number=False, narrow=True),
            Head("behind it", "what a thief has there", narrow=True),
            Head("customers pay", number=False),
            Head(
                "seems to help, not proven",
                "less is stolen behind these; a mark of grade A or B says why that is no proof",
                number=False,
            ),
        ],
        [Group("", rows)],
    )


def _row(field: Field, rows: Sequence[Standing]) -> list[str]:
    found = cases(field, rows)
    bare, (outcome, best) = undefended(found), pick(found)
    seem = [f"{shown(case.defense)} ({percent(case.stolen)})" for case in unproven(found)]
    return [
        str(field.setting),
        percent(bare.stolen) if bare else NOTHING,
        best.defense if best else NOTHING,
        outcome,
        percent(best.stolen) if best else NOTHING,
        paid_briefly(best) if best else NOTHING,
        named(seem) or NOTHING,
    ]

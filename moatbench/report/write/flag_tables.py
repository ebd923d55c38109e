"""Why rows of the leaderboard are less than they seem, and the page of all flags."""

from collections.abc import Iterator, Mapping, Sequence

from moatbench.record.flag import GRADES, NOTE, Flag
from moatbench.report.measure.leaderboard import Standing
from moatbench.report.measure.worst import Field
from moatbench.report.write.table import Group, Head, Table

Boards = Sequence[tuple[Field, list[Standing]]]
GRADED = "; ".join(f"{grade} {says}" for grade, says in GRADES.items())


def reasons(boards: Boards) -> Table:
    """Why rows carry A or B: one line for each mark of a row."""
    rows = [
        [*_setting(boards, field), row.defense, grade, words, _why(lines)]
        for field, standing in boards
        for row in standing
        for (grade, words), lines in _by_mark(row.flags).items()
        if grade != NOTE
    ]
    return Table(
        "reasons",
        "Rows with A or B, and why",
        "Rows whose number is not what it is called (A), or one side of the truth only (B). All "
        "other rows are what they seem; notes (C) are on a page of their own.",
        [
            Head(h, number=False, named=h == "defense")
            for h in (*_heads(boards), "defense", "grade", "mark", "why")
        ],
        [Group("", rows)],
    )


def flags(boards: Boards) -> Table:
    """All that runs and rows say against themselves."""
    rows = [
        [str(field.setting), row.defense, flag.grade, flag.words, flag.text, ", ".join(seeds)]
        for field, standing in boards
        for row in standing
        for flag, seeds in row.flags.items()
    ]
    return Table(
        "flags",
        f"All flags ({len(rows)})",
        "What runs and rows say against themselves, the gravest first. "
        f"{GRADED}. Of the runs with these seeds, or of the row where there is none.",
        [
            Head(h, number=False, named=h == "defense")
            for h in ("setting", "defense", "grade", "mark", "what is said", "seeds")
        ],
        [Group("", sorted(rows, key=lambda line: line[2]))],
    )


def _by_mark(flags: Mapping[Flag, Sequence[str]]) -> dict[tuple[str, str], list[str]]:
    """Gather what is said under each mark, with its seeds."""
    found: dict[tuple[str, str], list[str]] = {}
    for flag, seeds in flags.items():
        where = f" (seed {', '.join(seeds)})" if seeds else ""
        found.setdefault((flag.grade, flag.words), []).append(f"{flag.text}{where}")
    return found


def _why(lines: Sequence[str]) -> str:
    """Tell the first line, and how many are like it."""
    return lines[0] + (f"; and {len(lines) - 1} more" if len(lines) > 1 else "")


def _heads(boards: Boards) -> Iterator[str]:
    if len(boards) > 1:
        yield "setting"


def _setting(boards: Boards, field: Field) -> list[str]:
    return [str(field.setting)] if len(boards) > 1 else []

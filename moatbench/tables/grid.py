"""From rows of cells to named columns: header, footer, ragged rows, columns without a name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from moatbench.tables.cut import Row
from moatbench.tables.told import Report, many

SEEN = 1000  # rows by which a header is told from data
NAMELESS = re.compile(r"Unnamed: \d+")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Grid:
    """Named columns of cells.

    Args:
        cells: of each column, in order; '' is an empty one.
        lines: (n,) where each row stands.
        word: what a place is called: line or row.
    """

    cells: dict[str, list[str]]
    lines: list[int]
    word: str = "line"


def grid(rows: Sequence[Row], header: bool | None, report: Report) -> Grid:
    """Name the columns, and make all rows of one length.

    Raises:
        ValueError: there is no row beside the header, or one has more cells than the header.
    """
    rows = _without_frame(list(rows), report)
    if header is None and _is_data([row.cells for row in rows[: SEEN + 1]]):
        header = False
        report.notes.append(
            f"line {rows[0].line} looks like data, not like names: columns are called 0 to "
            f"{len(rows[0].cells) - 1}; data.header=true takes it for names"
        )
    if header is False:
        names = [str(i) for i in range(max(len(row.cells) for row in rows))]
    else:
        names, rows = rows[0].cells, _without_header(rows, report)
        if not rows:
            raise ValueError(
                f"{report.source}: there is a header ({', '.join(names[:5])}) and no row "
                "below it; give rows, or data.header=false where the first line is one"
            )
    rows, names = _fitted(rows, names, report)
    columns = [list(cells) for cells in zip(*(row.cells for row in rows), strict=True)]
    return Grid(
        dict(zip(_distinct(names, report), columns, strict=True)), [row.line for row in rows]
    )


def _without_frame(rows: list[Row], report: Report) -> list[Row]:
    """Leave out titles and comments above a table, and notes below it."""
    above: list[Row] = []
    below: list[Row] = []
    usual = _usual(rows)
    while len(rows) > 1 and _is_aside(rows[0], usual):
        above.append(rows.pop(0))
    while len(rows) > 2 and _is_aside(rows[-1], usual):
        below.insert(0, rows.pop())
    for found, where in ((above, "above the table"), (below, "below the table")):
        if found:
            told = next(cell for cell in found[0].cells if cell)
            report.notes.append(
                f"{many(len(found), 'line')} {where} left out (line {found[0].line}: "
                f"{_short(told)!r})"
            )
    return rows


def _without_header(rows: list[Row], report: Report) -> list[Row]:
    """Return the rows below the header; one that repeats it, as joined files do, is left out."""
    head, below = rows[0].cells, rows[1:]
    again = [row for row in below if row.cells == head]
    if again and len(head) > 1 and not _numeric(head):
        report.notes.append(f"the header comes again in line {again[0].line}: left out")
        return [row for row in below if row.cells != head]
    return below


def _usual(rows: Sequence[Row]) -> int:
    lengths = [len(row.cells) for row in rows[:SEEN]]
    return max(set(lengths), key=lengths.count)


def _is_aside(row: Row, usual: int) -> bool:
    """Whether a row holds one cell where others hold three and more, or is a comment."""
    filled = [cell for cell in row.cells if cell]
    alone = usual > 2 and len(filled) == 1
    return alone or (row.cells[0].startswith("#") and len(row.cells) != usual)


def _is_data(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is one more row of values, not names."""
    head, body = rows[0], [row for row in rows[1:] if row != rows[0]]
    if len(body) < 3 or any(len(row) != len(head) for row in body):
        return False
    words = 0
    for name, values in zip(head, zip(*body, strict=True), strict=True):
        if any(values) and all(NUMBER.fullmatch(value) for value in values if value):
            if not NUMBER.fullmatch(name):
                return False
        elif name not in values:
            return False
        else:
            words += 1
    numbered = [int(name) for name in head if name.isdecimal()]
    is_numbering = len(numbered) == len(head) and numbered == sorted(set(numbered))
    return words > 0 or not is_numbering


def _numeric(cells: Sequence[str]) -> bool:
    return any(NUMBER.fullmatch(cell) for cell in cells)


def _fitted(rows: list[Row], names: list[str], report: Report) -> tuple[list[Row], list[str]]:
    """Give all rows as many cells as there are names."""
    n = len(names)
    rows = [Row(line, _trimmed(cells, n)) for line, cells in rows]
    long = [row for row in rows if len(row.cells) > n]
    if len(long) == len(rows) and {len(row.cells) for row in rows} == {n + 1}:
        firsts = [row.cells[0] for row in rows]
        counts = firsts == [str(i + 1) for i in range(len(rows))]
        if counts or (len(set(firsts)) == len(rows) and not _numeric(firsts)):
            return rows, ["", *names]  # as R writes the names of rows
    if long:
        raise ValueError(
            f"{report.source}: line {long[0].line} has {len(long[0].cells)} values, and "
            f"there are {n} columns ({many(len(long), 'such row')}); quote a value that holds the "
            "separator, or say data.separator=..."
        )
    short = [row for row in rows if len(row.cells) < n]
    if short:
        lacking = names[len(short[0].cells)] or str(len(short[0].cells))
        report.notes.append(
            f"{many(len(short), 'short row')} (first line {short[0].line}: {len(short[0].cells)} "
            f"of {n} values, from column {lacking} on): what they lack is taken as missing"
        )
    return [Row(line, cells + [""] * (n - len(cells))) for line, cells in rows], names


def _trimmed(cells: list[str], n: int) -> list[str]:
    while len(cells) > n and not cells[-1]:
        cells = cells[:-1]
    return cells


def _distinct(names: Sequence[str], report: Report) -> list[str]:
    """Give each column a name of its own, as pandas does: a, a.1; Unnamed: 3 where there is none.

    A second name of the same is told: which of the two is meant, nobody can know.
    """
    found: list[str] = []
    for place, name in enumerate(names):
        name = own = name or f"Unnamed: {place}"
        again = 0
        while own in found or (again and own in names):
            again += 1
            own = f"{name}.{again}"
        if again:
            report.notes.append(
                f"two columns are called {name!r}: the one at place {place + 1} is now {own!r}"
            )
        found.append(own)
    return found


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."

"""Tables written as Markdown or HTML; latex.py writes them for a paper."""

from collections.abc import Sequence
from html import escape

from moatbench.report.write.latex import latex as latex
from moatbench.report.write.latex import tex as tex
from moatbench.report.write.table import BOLD, NOTHING, cell_of
from moatbench.report.write.table import Group as Group
from moatbench.report.write.table import Head as Head
from moatbench.report.write.table import Table as Table

SHORT = 24  # letters of a cell that the page does not break
DENSE, DENSER = 8, 13  # columns from which a table is set closer, and stacked earlier


def markdown(table: Table) -> str:
    """Write a pipe table; a group's heading is a line of text above it."""
    head = "| " + " | ".join(_pipe(c.heading) for c in table.columns) + " |"
    rule = "|" + "|".join("---:" if c.number else "---" for c in table.columns) + "|"
    parts = [f"**{table.title}.** {table.lead}"]
    for group in table.groups:
        lines = ["| " + " | ".join(map(_pipe, _cells(table, row))) + " |" for row in group.rows]
        parts += [f"*{group.heading}*"] if group.heading else []
        parts.append("\n".join([head, rule, *lines]))
    parts += [table.notes] if table.notes else []
    return "\n\n".join(parts).replace("+-", "\u00b1") + "\n"


def html(table: Table) -> str:
    """Write a table for each group, whose columns sort on a click, with the notes below.

    A narrow page shows the columns that a one-column table has, and the others of a row on a
    click; a table without such columns has its rows stacked.
    """
    folds = any(c.narrow for c in table.columns)
    head = "".join(
        f'<th scope="col" class="{_side(c, folds)}" title="{escape(c.help)}">'
        f"<button>{_pretty(c.heading)}</button></th>"
        for c in table.columns
    )
    width = len(table.columns)
    dense = " folds" if folds else " words"
    dense += " denser" if width >= DENSER else " dense" if width >= DENSE else ""
    hint = "<p class=hint>Click a row for its other columns.</p>" if folds else ""
    parts = [f"<p class=caption>{_pretty(table.lead)}</p>"]
    for group in table.groups:
        parts += [f"<h4>{_pretty(group.heading)}</h4>"] if group.heading else []
        rows = "\n".join(f"<tr>{''.join(_td(table, row, folds))}</tr>" for row in group.rows)
        parts.append(
            f'<div class=scroll>{hint}<table class="sortable{dense}"><thead><tr>{head}</tr></thead>'
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )
    parts += [f"<p class=notes>{_pretty(table.notes)}</p>"] if table.notes else []
    inside = "\n".join(parts)
    if table.folded:
        return f"<details><summary>{_pretty(table.title)}</summary>\n{inside}\n</details>"
    return f"<h3>{_pretty(table.title)}</h3>\n{inside}"


def _cells(table: Table, row: Sequence[str]) -> list[str]:
    return [cell_of(column, cell) for column, cell in zip(table.columns, row, strict=True)]


def _td(table: Table, row: Sequence[str], folds: bool) -> list[str]:
    cells = []
    for column, code, cell in zip(table.columns, row, _cells(table, row), strict=True):
        side = _side(column, folds) + (" k" if not column.number and len(cell) <= SHORT else "")
        said = f' title="{escape(code)}"' if code != cell else ""
        label = f' data-h="{_pretty(column.heading)}"'
        cells.append(f'<td class="{side}"{label}{said}>{_pretty(cell)}</td>')
    return cells


def _side(column: Head, folds: bool) -> str:
    """Name the classes of a column's cells: numbers, and what a narrow page folds away."""
    return ("n" if column.number else "") + (" x" if folds and not column.narrow else "")


def _pretty(text: str) -> str:
    if text == NOTHING:
        return "\u2013"
    if text.startswith(BOLD):
        return f"<b>{_pretty(text.strip('*'))}</b>"
    signs = (
        text.replace("<=", "\u2264").replace(">=", "\u2265").replace(" +- ", "\u00a0\u00b1\u00a0")
    )
    return escape(signs.replace("+-", "\u00b1"))


def _pipe(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")

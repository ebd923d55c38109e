"""Tables as data, written as Markdown, LaTeX (booktabs) or HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
}
NOTHING = "-"
WIDE = 118  # letters of footnotesize across a page of two columns
SHORT = 24  # letters of a cell that the page does not break
HEADING = 12  # letters of a line of a heading in LaTeX


@dataclass(frozen=True)
class Head:
    """What stands over a column of a table.

    Args:
        heading: a few words.
        help: a line more.
        number: whether it holds numbers.
        paper: whether it stands in the LaTeX table too, whose width is limited.
    """

    heading: str
    help: str = ""
    number: bool = True
    paper: bool = True


@dataclass(frozen=True)
class Group:
    """Rows under a heading; '' where the table has one group."""

    heading: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Table:
    """A table, in plain words and ASCII; each format sets it in its own way.

    Args:
        name: of its files.
        title: a few words.
        caption: what a reader must know to read it.
        columns: headings.
        groups: rows, a cell for each column.
        folded: the page shows it folded.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[Head]
    groups: Sequence[Group] = field(default_factory=list)
    folded: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is no row."""
        return not any(group.rows for group in self.groups)


def markdown(table: Table) -> str:
    """Write a pipe table; a group's heading is a line of bold text above it."""
    head = "| " + " | ".join(_pipe(c.heading) for c in table.columns) + " |"
    rule = "|" + "|".join("---:" if c.number else "---" for c in table.columns) + "|"
    parts = [f"**{table.title}.** {table.caption}"]
    for group in table.groups:
        lines = ["| " + " | ".join(_pipe(cell) for cell in row) + " |" for row in group.rows]
        parts += [f"*{group.heading}*"] if group.heading else []
        parts.append("\n".join([head, rule, *lines]))
    return "\n\n".join(parts) + "\n"


def latex(table: Table) -> str:
    r"""Write a float with a booktabs tabular, for \input; needs \usepackage{booktabs}."""
    shown = [place for place, column in enumerate(table.columns) if column.paper]
    columns = [table.columns[place] for place in shown]
    groups = [
        (g.heading, [[row[place] for place in shown] for row in g.rows]) for g in table.groups
    ]
    body: list[str] = []
    for place, (heading, rows) in enumerate(groups):
        body += [r"\midrule"] if place else []
        if heading:
            body.append(rf"\multicolumn{{{len(shown)}}}{{@{{}}l}}{{\emph{{{tex(heading)}}}}} \\")
        body += [" & ".join(tex(cell) for cell in row) + r" \\" for row in rows]
    sides = "".join("r" if column.number else "l" for column in columns)
    size = _size(columns, [row for _, rows in groups for row in rows])
    return "\n".join(
        [
            r"\begin{table*}",
            rf"\centering{size}\setlength{{\tabcolsep}}{{4pt}}",
            rf"\caption{{{tex(f'{table.title}. {table.caption}')}}}\par\smallskip",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}",
            r"\toprule",
            " & ".join(_stacked(column) for column in columns) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def _size(columns: Sequence[Head], rows: Sequence[Sequence[str]]) -> str:
    """Set a wide table in smaller type: by the letters of its widest line."""
    lines = [[max(map(len, _broken(c.heading))) for c in columns], *(map(len, r) for r in rows)]
    letters = sum(max(column) + 2 for column in zip(*lines, strict=True))
    return r"\footnotesize" if letters <= WIDE else r"\scriptsize"


def _stacked(column: Head) -> str:
    lines = _broken(column.heading)
    side = "r" if column.number else "l"
    joined = r"\\".join(tex(line) for line in lines)
    return joined if len(lines) == 1 else rf"\shortstack[{side}]{{{joined}}}"


def _broken(heading: str) -> list[str]:
    """Break a heading into lines, at spaces and after underscores."""
    lines = [""]
    for word in heading.replace("_", "_ ").split(" "):
        glue = "" if lines[-1].endswith("_") or not lines[-1] else " "
        if lines[-1] and len(lines[-1] + glue + word) > HEADING:
            lines.append(word)
        else:
            lines[-1] += glue + word
    return lines


def html(table: Table) -> str:
    """Write a table for each group, whose columns sort on a click."""
    head = "".join(
        f'<th scope="col"{" class=n" if c.number else ""} title="{escape(c.help)}">'
        f"<button>{_pretty(c.heading)}</button></th>"
        for c in table.columns
    )
    parts = [f"<p class=caption>{_pretty(table.caption)}</p>"]
    for group in table.groups:
        parts += [f"<h4>{_pretty(group.heading)}</h4>"] if group.heading else []
        rows = "\n".join(f"<tr>{''.join(_td(table, row))}</tr>" for row in group.rows)
        parts.append(
            f"<div class=scroll><table class=sortable><thead><tr>{head}</tr></thead>"
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )
    inside = "\n".join(parts)
    if table.folded:
        return f"<details><summary>{_pretty(table.title)}</summary>\n{inside}\n</details>"
    return f"<h3>{_pretty(table.title)}</h3>\n{inside}"


def tex(text: str) -> str:
    """Escape for LaTeX; `<=` and the signs of comparison become maths."""
    escaped = "".join(LATEX.get(letter, letter) for letter in text)
    escaped = escaped.replace("$<$=", r"$\le$").replace("$>$=", r"$\ge$")
    return "--" if escaped == NOTHING else escaped


def _td(table: Table, row: Sequence[str]) -> list[str]:
    cells = []
    for column, cell in zip(table.columns, row, strict=True):
        side = " class=n" if column.number else " class=k" if len(cell) <= SHORT else ""
        cells.append(f"<td{side}>{_pretty(cell)}</td>")
    return cells


def _pretty(text: str) -> str:
    if text == NOTHING:
        return "\u2013"
    return escape(text.replace("<=", "\u2264").replace(">=", "\u2265"))


def _pipe(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")

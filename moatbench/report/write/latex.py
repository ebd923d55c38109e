"""Tables as LaTeX papers print them: booktabs floats of a page's width or of a column's."""

from collections.abc import Iterator, Sequence

from moatbench.report.write.table import BOLD, NOTHING, Head, Table, cell_of

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
    "\u00b2": "$^2$",
}
PAGE, COLUMN = 118, 55  # letters of footnotesize across a page of two columns, and across one
SMALLER, GAP = 1.12, 2.3  # times as many of scriptsize; of the space between two columns
LEAST = 16  # letters of a line of words, where these are broken for a table that is too wide
HEADING = 12  # letters of a line of a heading
LINES = 64  # on a page: a longer table is continued in another float
Row = list[str]


def latex(table: Table, *, narrow: bool = False) -> str:
    r"""Write floats with a booktabs tabular, for \input; needs \usepackage{booktabs}.

    Args:
        table: what to write.
        narrow: as wide as a column of two; '' for a table that has no columns for it.
    """
    shown = [k for k, c in enumerate(table.columns) if (c.narrow if narrow else c.paper)]
    columns = [table.columns[place] for place in shown]
    if not columns:
        return ""
    rows: list[Row] = []
    for group in table.groups:
        rows += [[group.heading]] if group.heading and group.rows else []
        rows += [[cell_of(table.columns[k], row[k]) for k in shown] for row in group.rows]
    size, letters, broken = _layout(columns, rows, COLUMN if narrow else PAGE)
    sides = "".join(
        rf"p{{{0.5 * width:.1f}em}}" if words else "r" if column.number else "l"
        for column, width, words in zip(columns, letters, broken, strict=True)
    )
    floats = [
        _float(table, columns, part, (size, sides, broken), narrow=narrow, first=not place)
        for place, part in enumerate(_parts(rows, letters))
    ]
    return "\n".join(floats)


def tex(text: str) -> str:
    """Escape for LaTeX; `<=`, `+-` and the signs of comparison become maths."""
    if text.startswith(BOLD) and text.endswith(BOLD) and len(text) > 2 * len(BOLD):
        return rf"\textbf{{{tex(text[len(BOLD) : -len(BOLD)])}}}"
    escaped = "".join(LATEX.get(letter, letter) for letter in text)
    for sign, maths in (("$<$=", r"$\le$"), ("$>$=", r"$\ge$"), ("+-", r"$\pm$")):
        escaped = escaped.replace(sign, maths)
    return "--" if escaped == NOTHING else escaped


def _float(
    table: Table,
    columns: Sequence[Head],
    rows: Sequence[Row],
    layout: tuple[str, str, Sequence[bool]],
    *,
    narrow: bool,
    first: bool,
) -> str:
    size, sides, broken = layout
    kind = "table" if narrow else "table*"
    caption = f"{table.title}. {table.lead}" if first else f"{table.title}, continued."
    label = f"tab:{table.name}{'_column' if narrow else ''}"
    body: list[str] = []
    for place, row in enumerate(rows):
        if len(row) == 1 < len(columns):  # the heading of a group
            body += [r"\midrule"] if place else []
            body.append(rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\emph{{{tex(row[0])}}}}} \\")
        else:
            # Words are set ragged: justified, short lines would gape
            cells = [
                (r"\raggedright " if ragged else "") + tex(cell)
                for cell, ragged in zip(row, broken, strict=True)
            ]
            body.append(" & ".join(cells) + (r" \tabularnewline" if broken[-1] else r" \\"))
    notes = rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {tex(table.notes)}}}"
    return "\n".join(
        [
            rf"\begin{{{kind}}}",
            rf"\centering{size}\setlength{{\tabcolsep}}{{{3 if narrow else 4}pt}}",
            *([] if first else [r"\addtocounter{table}{-1}"]),
            rf"\caption{{{tex(caption)}}}\par\smallskip",
            *([rf"\label{{{label}}}"] if first else []),
            rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}",
            r"\toprule",
            " & ".join(_stacked(column) for column in columns) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *([notes] if table.notes and first else []),
            rf"\end{{{kind}}}",
            "",
        ]
    )


def _layout(
    columns: Sequence[Head], rows: Sequence[Row], room: int
) -> tuple[str, list[int], list[bool]]:
    """Choose type and widths so that the widest line fits; long words are broken into lines.

    Returns:
        The size, the letters of each column, and whether its cells are broken.
    """
    whole = [row for row in rows if len(row) == len(columns)]
    natural = [max([0, *(len(row[k].strip("*")) for row in whole)]) for k in range(len(columns))]
    widest = [
        max([cells, *map(len, _broken(c.heading))])
        for c, cells in zip(columns, natural, strict=True)
    ]
    gaps = GAP * len(columns)
    size = r"\footnotesize" if sum(widest) + gaps <= room else r"\scriptsize"
    room = room if size == r"\footnotesize" else int(SMALLER * room)
    words = [k for k, c in enumerate(columns) if not c.number]
    for some in (words[1:], words):  # what names the row is broken last
        while sum(widest) + gaps > room and any(widest[k] > LEAST for k in some):
            widest[max(some, key=lambda k: widest[k])] -= 1
    return size, widest, [k in words and widest[k] < natural[k] for k in range(len(columns))]


def _parts(rows: Sequence[Row], letters: Sequence[int]) -> Iterator[list[Row]]:
    """Cut a table that is longer than a page."""
    part: list[Row] = []
    lines = 0
    for row in rows:
        # A line of words does not fill to its last letter
        tall = max(
            [
                1,
                *(
                    -(-len(c) * 5 // (4 * w))
                    for c, w in zip(row, letters, strict=False)
                    if len(c) > w
                ),
            ]
        )
        if part and lines + tall > LINES:
            yield part
            part, lines = [], 0
        part.append(row)
        lines += tall
    yield part


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

"""Files as spreadsheets, R, pandas and UCI write them: formats times faults, and what is meant."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

ROWS = 60
TOWNS, LABELS = ("Zürich", "Bern", "Genève"), ("no", "yes", "maybe")
Rows = list[list[str]]


@dataclass(frozen=True)
class Sheet:
    """A table as cells, and as it is meant.

    Args:
        header: its names.
        rows: its cells.
        meant: the values of each column, in order.
        kept: places of the rows that a reader should keep.
        says: what must be told, whatever else is.
        refused: whether it cannot be read without a decision.
        knobs: how it is read.
        above: lines that stand before the header.
        below: lines that stand after the rows.
    """

    header: list[str]
    rows: Rows
    meant: dict[str, list[Any]]
    kept: list[int]
    says: tuple[str, ...] = ()
    refused: bool = False
    knobs: dict[str, Any] = field(default_factory=dict)
    above: str = ""
    below: str = ""


def sheet() -> Sheet:
    """A plain one: whole numbers, decimals, names, truths, classes."""
    meant: dict[str, list[Any]] = {
        "age": [20 + 7 * i % 50 for i in range(ROWS)],
        "rate": [round(0.25 + 1.37 * i, 2) for i in range(ROWS)],
        "town": [TOWNS[i % 3] for i in range(ROWS)],
        "open": [i % 4 < 2 for i in range(ROWS)],
        "label": [LABELS[i * i % 3] for i in range(ROWS)],
    }
    rows = [[str(values[i]) for values in meant.values()] for i in range(ROWS)]
    return Sheet(list(meant), rows, meant, list(range(ROWS)), knobs={"target": "label"})


def with_cell(s: Sheet, row: int, column: str, cell: str) -> Sheet:
    """Write one cell; what is meant stays."""
    rows = [list(r) for r in s.rows]
    rows[row][s.header.index(column)] = cell
    return replace(s, rows=rows)


def with_column(
    s: Sheet, column: str, write: Callable[[int], str], meant: list[Any] | None
) -> Sheet:
    """Write a column anew, at the place of one that there is, or before all others."""
    rows = [list(r) for r in s.rows]
    if column in s.header:
        place = s.header.index(column)
        for i, row in enumerate(rows):
            row[place] = write(i)
        known = s.meant
    else:
        rows = [[write(i), *row] for i, row in enumerate(rows)]
        s = replace(s, header=[column, *s.header])
        known = {column: [], **s.meant}
    values = dict(known) if meant is None else {**known, column: meant}
    if meant is None and column in values:
        values = {k: v for k, v in values.items() if k != column or k in s.meant}
    return replace(s, rows=rows, meant=values)


def without(s: Sheet, *places: int, says: tuple[str, ...] = ()) -> Sheet:
    return replace(s, kept=[i for i in s.kept if i not in places], says=(*s.says, *says))


def refused(s: Sheet, *says: str) -> Sheet:
    return replace(s, refused=True, says=says)


def marked(mark: str) -> Sheet:
    """A mark for missing stands in a column of numbers, twice."""
    s = with_cell(with_cell(sheet(), 5, "rate", mark), 9, "rate", mark)
    said = ("rate", "line 7") if not mark else ("column rate", repr(mark), "line 7")
    return without(s, 5, 9, says=said)


def money(write: Callable[[int], str], values: list[float | int], *says: str) -> Sheet:
    """A column of amounts stands before all others."""
    s = with_column(sheet(), "pay", write, list(values))
    return replace(s, says=says or ("column pay", repr(write(0)), "line 2"))


AMOUNTS: list[float | int] = [1234 + 1117 * i for i in range(ROWS)]
CENTS: list[float | int] = [round(0.5 + 311.13 * i, 2) for i in range(ROWS)]


def german(value: float) -> str:
    return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")


def lines(s: Sheet, above: str = "", below: str = "") -> Sheet:
    return replace(s, above=above, below=below)


def index(name: str) -> Sheet:
    """The first column numbers the rows, as pandas and R write it."""
    s = with_column(sheet(), name, lambda i: str(3 * i), None)
    return replace(s, says=("names the rows", "'0' (line 2)"))


def short() -> Sheet:
    s = sheet()
    rows = [r[:3] if i == 11 else r for i, r in enumerate(s.rows)]
    return without(replace(s, rows=rows), 11, says=("line 13", "3 of 5", "open"))


def long() -> Sheet:
    s = sheet()
    return refused(
        replace(s, rows=[[*r, "x"] if i == 11 else r for i, r in enumerate(s.rows)]),
        "line 13",
        "6 values",
    )


def trailing(names_too: bool) -> Sheet:
    s = sheet()
    header = [*s.header, ""] if names_too else s.header
    said = ("column 6, without a name",) if names_too else ()
    return replace(s, header=header, rows=[[*r, ""] for r in s.rows], says=said)


def headless() -> Sheet:
    s = sheet()
    meant = {str(i): values for i, values in enumerate(s.meant.values())}
    header, rows = s.rows[0], s.rows[1:]
    return replace(
        s, header=header, rows=rows, meant=meant, knobs={"target": 4}, says=("line 1", "0 to 4")
    )


def numbered() -> Sheet:
    s = sheet()
    meant = {str(i): values for i, values in enumerate(s.meant.values())}
    return replace(s, header=list(meant), meant=meant, knobs={"target": 4})


def words_alone() -> Sheet:
    """Nothing but names, without a header: the first row comes again among the others."""
    rows = [["xo"[i % 2], "abc"[i % 3], LABELS[i % 2]] for i in range(ROWS)]
    meant: dict[str, list[Any]] = {str(k): [row[k] for row in rows] for k in range(3)}
    kept = list(range(ROWS))
    return Sheet(rows[0], rows[1:], meant, kept, knobs={"target": 2}, says=("line 1", "0 to 2"))


def twins() -> Sheet:
    s = with_column(sheet(), "age", lambda i: str(20 + 7 * i % 50), sheet().meant["age"])
    header = [*s.header, "age"]
    rows = [[*r, str(i % 5)] for i, r in enumerate(s.rows)]
    meant = {**s.meant, "age.1": [i % 5 for i in range(ROWS)]}
    return replace(s, header=header, rows=rows, meant=meant, says=("'age'", "place 6", "'age.1'"))


def classes(write: Callable[[int], str], *says: str, **knobs: Any) -> Sheet:
    texts = [write(i) for i in range(ROWS)]
    s = with_column(sheet(), "label", lambda i: texts[i], list(texts))
    return replace(s, says=says, knobs={"target": "label", **knobs})


def with_town_raw(cell: str) -> Sheet:
    """The last row of a table with one cell as no writer would write it."""
    s = sheet()
    meant = {**s.meant, "town": [*s.meant["town"][:-1], "Bernx"]}
    last = [str(values[-1]) for values in meant.values()]
    raw = "{s}".join([*last[:2], cell, *last[3:]]) + "\n"
    return lines(replace(s, rows=s.rows[:-1], meant=meant), below=raw)


def months(form: str) -> Sheet:
    """A column of months, quarters or weeks."""
    cells = with_column(sheet(), "when", lambda i: form.format(2019 + i % 3, 1 + i % 4), [])
    return refused(cells, "column when", "dates or times", "line 2", "data.drop=[when]")


FAULTS: dict[str, Callable[[], Sheet]] = {
    "plain": sheet,
    **{
        f"mark {m or 'empty'}": partial(marked, m)
        for m in (
            "",
            "?",
            "NA",
            "N/A",
            "nan",
            "null",
            "None",
            "-",
            ".",
            "#N/A",
            "unknown",
            "#DIV/0!",
        )
    },
    "decimal comma": lambda: replace(
        with_column(
            sheet(),
            "rate",
            lambda i: str(sheet().meant["rate"][i]).replace(".", ","),
            sheet().meant["rate"],
        ),
        says=("column rate", "'0,25' (line 2)"),
    ),
    "thousands": lambda: money(
        lambda i: f"{AMOUNTS[i]:,}" if i else "1,234,567", [1234567, *AMOUNTS[1:]]
    ),
    "thousands, some below": lambda: money(
        lambda i: f"{max(AMOUNTS[i] - 1100, 5):,}",
        [max(a - 1100, 5) for a in AMOUNTS],
        "column pay",
        "'1,251' (line 3)",
    ),
    "thousands or decimal": lambda: refused(
        replace(
            money(lambda i: f"{AMOUNTS[i]:,}", AMOUNTS), knobs={"target": "label", "drop": "rate"}
        ),
        "column pay",
        "'1,234'",
        "data.thousands=comma",
        "data.decimal=comma",
    ),
    "dollars": lambda: money(lambda i: f"${CENTS[i]:,.2f}", CENTS),
    "euros behind": lambda: money(lambda i: f"{german(CENTS[i])} €", CENTS),
    "spaces between thousands": lambda: money(
        lambda i: f"{AMOUNTS[i]:,}".replace(",", "\u00a0"), AMOUNTS
    ),
    "apostrophes": lambda: money(lambda i: f"{AMOUNTS[i]:,}".replace(",", "'"), AMOUNTS),
    "per cent": lambda: money(lambda i: f"{i / 4}%", [i / 4 for i in range(ROWS)]),
    "centimetres": lambda: money(lambda i: f"{150 + i} cm", [150 + i for i in range(ROWS)]),
    "two units": lambda: refused(
        money(lambda i: f"{150 + i} {'cm' if i % 2 else 'in'}", []), "column pay"
    ),
    "two currencies": lambda: refused(
        money(lambda i: f"{'$' if i % 2 else '€'}{150 + i}", []), "column pay", "line 2", "line 3"
    ),
    "point and comma": lambda: refused(
        money(lambda i: f"{i}.5" if i % 2 else f"{i},5", []), "column pay", "line 2", "line 3"
    ),
    "typeset minus": lambda: money(lambda i: f"\u2212{i}.5", [-i - 0.5 for i in range(ROWS)]),
    "brackets for minus": lambda: money(lambda i: f"({i}.5)", [-i - 0.5 for i in range(ROWS)]),
    "infinity": lambda: refused(
        with_cell(sheet(), 3, "rate", "Infinity"), "column rate", "'Infinity' (line 5)"
    ),
    "minus inf": lambda: refused(
        with_cell(sheet(), 3, "rate", "-inf"), "column rate", "'-inf' (line 5)"
    ),
    "beyond a float": lambda: refused(
        with_cell(sheet(), 3, "rate", "1e999"), "column rate", "'1e999' (line 5)"
    ),
    "infinity sign": lambda: refused(
        with_cell(sheet(), 3, "rate", "∞"), "column rate", "'∞' (line 5)"
    ),
    "odd word": lambda: refused(
        with_cell(sheet(), 3, "rate", "see note"),
        "column rate",
        "'see note' (line 5)",
        "data.missing_marks",
    ),
    "odd word, given": lambda: without(
        replace(
            with_cell(sheet(), 3, "rate", "see note"),
            knobs={"target": "label", "missing_marks": "see note"},
        ),
        3,
        says=("rate 1",),
    ),
    "sentinel, given": lambda: without(
        replace(
            with_cell(sheet(), 3, "age", "-999"), knobs={"target": "label", "missing_marks": [-999]}
        ),
        3,
        says=("age 1",),
    ),
    "counted words": lambda: replace(
        with_column(
            sheet(),
            "age",
            lambda i: "3+" if i % 4 == 3 else str(i % 4),
            ["3+" if i % 4 == 3 else str(i % 4) for i in range(ROWS)],
        ),
        says=("column age", "'3+' (line 5)"),
    ),
    "trailing separator": lambda: trailing(True),
    "trailing separator, header without": lambda: trailing(False),
    "index of pandas": lambda: index("Unnamed: 0"),
    "index without a name": lambda: index(""),
    "title": lambda: replace(
        lines(sheet(), above="Customers of 2024\n\n"), says=("'Customers of 2024'", "line 1")
    ),
    "comment": lambda: replace(
        lines(sheet(), above="# exported by hand\n"), says=("exported by hand", "line 1")
    ),
    "footer": lambda: replace(
        lines(sheet(), below="Source: the ministry\n"), says=("'Source: the ministry'", "line 62")
    ),
    "total": lambda: replace(
        lines(sheet(), below="Total{s}99.5{s}{s}{s}\n"), says=("target label", "line 62")
    ),
    "header again": lambda: replace(
        lines(sheet(), below="age{s}rate{s}town{s}open{s}label\n"), says=("line 62",)
    ),
    "blank lines": lambda: lines(sheet(), above="\n", below="\n\n  \n"),
    "separators alone": lambda: replace(lines(sheet(), below="{s}{s}{s}{s}\n"), says=("line 62",)),
    "short row": short,
    "long row": long,
    "open quote": lambda: refused(
        lines(sheet(), below='30{s}1.5{s}"Bern{s}True{s}no\n'), "line 62", "quote"
    ),
    "header alone": lambda: refused(replace(sheet(), rows=[]), "no row below it"),
    "no header": headless,
    "numbered header": numbered,
    "two columns of a name": twins,
    "class None": lambda: classes(lambda i: ("None", "Apnea")[i % 2], "label", "'None'", "line 2"),
    "class NA": lambda: classes(lambda i: ("EU", "NA")[i % 2], "label", "'NA'", "line 3"),
    "no class": lambda: without(
        with_cell(sheet(), 7, "label", ""), 7, says=("target label", "line 9")
    ),
    "region NA": lambda: replace(
        with_column(
            sheet(),
            "town",
            lambda i: ("EU", "NA", "AS")[i % 3],
            [("EU", "NA", "AS")[i % 3] for i in range(ROWS)],
        ),
        says=("column town", "'NA'", "line 3"),
    ),
    "classes with a full stop": lambda: classes(
        lambda i: ("<=50K", ">50K", "<=50K.")[i % 3], "'<=50K'", "'<=50K.'"
    ),
    "classes in two cases": lambda: classes(
        lambda i: ("yes", "no", "Yes")[i % 3], "'yes'", "'Yes'"
    ),
    "classes 1, 1.0, True": lambda: classes(
        lambda i: ("1", "1.0", "True", "0")[i % 4], "'1'", "'1.0'", "'True'"
    ),
    "quantity": lambda: refused(
        classes(lambda i: f"{i}.5"), "label", "60 distinct numbers", "regression_tree"
    ),
    "identifier as target": lambda: refused(classes(lambda i: f"c{i}x"), "label", "60 names"),
    "dates": lambda: refused(
        with_column(sheet(), "day", lambda i: f"2024-03-{1 + i % 28:02}", []),
        "column day",
        "'2024-03-01' (line 2)",
        "data.drop=[day]",
    ),
    "German dates": lambda: refused(
        with_column(sheet(), "day", lambda i: f"{1 + i % 28}.3.2024", []), "column day", "line 2"
    ),
    **{
        f"months: {form.format(2021, 3)}": partial(months, form)
        for form in ("{}-{:02}", "{1:02}/{0}", "Mar {}", "March-{}", "{}-Q{}", "Q{1} {0}", "{}W{}")
    },
    "times": lambda: refused(
        with_column(sheet(), "day", lambda i: f"{i % 24}:30", []), "column day", "line 2"
    ),
    "names of customers": lambda: refused(
        with_column(sheet(), "who", lambda i: f"c{i}x", []),
        "column who",
        "60 in 60",
        "data.drop=[who]",
    ),
    "names, dropped": lambda: replace(
        with_column(sheet(), "who", lambda i: f"c{i}x", None),
        knobs={"target": "label", "drop": "who"},
    ),
    "row numbers": lambda: replace(
        with_column(sheet(), "id", lambda i: str(i + 1), [i + 1 for i in range(ROWS)]),
        says=("column id", "data.drop=[id]"),
    ),
    "leading zeros": lambda: replace(
        with_column(
            sheet(), "zip", lambda i: f"0{i % 9}17", [100 * (i % 9) + 17 for i in range(ROWS)]
        ),
        says=("column zip", "'0017' (line 2)", "data.categorical=[zip]"),
    ),
    "zeros kept": lambda: replace(
        with_column(sheet(), "zip", lambda i: f"0{i % 9}17", [f"0{i % 9}17" for i in range(ROWS)]),
        knobs={"target": "label", "categorical": "zip"},
    ),
    "spaces around": lambda: with_column(
        sheet(), "town", lambda i: f"  {TOWNS[i % 3]} ", sheet().meant["town"]
    ),
    "truths in capitals": lambda: with_column(
        sheet(), "open", lambda i: str(i % 4 < 2).upper(), sheet().meant["open"]
    ),
    "a truth missing": lambda: without(
        with_cell(sheet(), 8, "open", "NA"), 8, says=("column open", "'NA'", "line 10")
    ),
    "a town missing": lambda: without(
        with_cell(sheet(), 8, "town", ""), 8, says=("town 1", "line 10")
    ),
    "several lines in a cell": lambda: replace(
        with_column(
            sheet(),
            "town",
            lambda i: "a\nb" if i == 4 else "c",
            ["a\nb" if i == 4 else "c" for i in range(ROWS)],
        ),
        says=("line 6",),
    ),
    "separators in a cell": lambda: with_column(
        sheet(),
        "town",
        lambda i: ("a,b;c\td|e", "f")[i % 2],
        [("a,b;c\td|e", "f")[i % 2] for i in range(ROWS)],
    ),
    "powers of ten": lambda: with_column(
        sheet(), "rate", lambda i: f"{i}.5E-3", [(10 * i + 5) / 10000 for i in range(ROWS)]
    ),
    "words without a header": words_alone,
    "sep= of Excel": lambda: lines(sheet(), above="sep={s}\n"),
    "names of rows as R writes them": lambda: replace(
        sheet(),
        rows=[[f"row {i}", *row] for i, row in enumerate(sheet().rows)],
        says=("column 1, without a name, names the rows", "'row 0' (line 2)"),
    ),
    "infinity with a comma": lambda: refused(
        with_column(sheet(), "rate", lambda i: "Inf" if i == 3 else f"{i},5", []),
        "column rate",
        "'Inf' (line 5)",
    ),
    "numbers of 20 digits": lambda: money(
        lambda i: str(10**20 + i), [float(10**20)] * ROWS, "column pay", "is rounded"
    ),
    "numbers behind a sign": lambda: replace(
        with_column(
            sheet(), "rate", lambda i: f"~{i % 15}.1", [f"~{i % 15}.1" for i in range(ROWS)]
        ),
        says=("column rate", "look like numbers", "'~0.1' (line 2)"),
    ),
    "a class that loses its rows": lambda: without(
        with_cell(with_cell(sheet(), 7, "rate", ""), 7, "label", "never"),
        7,
        says=("target label", "never (1 row)"),
    ),
    "thousands, given": lambda: replace(
        money(lambda i: f"{AMOUNTS[i]:,}", AMOUNTS),
        knobs={"target": "label", "thousands": "comma"},
    ),
    "NA among words, given": lambda: without(
        replace(
            with_cell(sheet(), 4, "town", "NA"),
            knobs={"target": "label", "missing_marks": ["NA"]},
        ),
        4,
        says=("town 1 (first in line 6)",),
    ),
    "digits of another script": lambda: money(
        lambda i: "".join(chr(0x660 + int(d)) for d in str(40 + 3 * i)),
        [40 + 3 * i for i in range(ROWS)],
    ),
    "wide digits": lambda: money(
        lambda i: "".join(chr(0xFF10 + int(d)) for d in str(40 + 3 * i)),
        [40 + 3 * i for i in range(ROWS)],
    ),
    "powers typeset": lambda: refused(
        money(lambda i: f"{10 + i}\u00b2", []), "column pay", "'10\u00b2' (line 2)"
    ),
    "halves typeset": lambda: refused(
        money(lambda i: f"{10 + i}\u00bd", []), "column pay", "'10\u00bd' (line 2)"
    ),
    "accents on letters or beside": lambda: replace(
        with_column(
            sheet(),
            "town",
            lambda i: ("Zu\u0308rich", "Bern", "Zürich")[i % 3],
            [("Zu\u0308rich", "Bern", "Zürich")[i % 3] for i in range(ROWS)],
        ),
        says=("column town", "'Zu\\u0308rich' (20 rows)", "'Z\\xfcrich' (20 rows)"),
    ),
    "letters that nobody sees": lambda: classes(
        lambda i: ("yes", "no", "no\u200b")[i % 3], "'no' (20 rows)", "'no\\u200b' (20 rows)"
    ),
    "words behind a quote": lambda: replace(
        with_town_raw('"Bern"x'), says=("behind the end of a quoted value (line 61)",)
    ),
    "numbers as formulas": lambda: replace(
        with_column(
            sheet(), "town", lambda i: f'="{i % 20}"', [f'="{i % 20}"' for i in range(ROWS)]
        ),
        says=("column town", "20 names that look like numbers", "'=\"0\"' (line 2)"),
    ),
    "a number that stays": lambda: replace(
        with_column(sheet(), "age", lambda i: "5", [5] * ROWS),
        says=("column age is 5 in every row",),
    ),
    "one class": lambda: classes(lambda i: "no", "target label is no in every row"),
    "a name with a letter that nobody sees": lambda: refused(
        replace(
            sheet(),
            header=["age", "rate", "town", "open", "label\u200b"],
        ),
        "did you mean 'label\\u200b'?",
    ),
    "no such target": lambda: refused(
        replace(sheet(), knobs={"target": "lable"}), "'lable'", "did you mean label?"
    ),
}
EVERYWHERE = (
    "plain",
    "mark ?",
    "decimal comma",
    "odd word",
    "trailing separator",
    "class None",
    "short row",
    "no class",
    "euros behind",
    "several lines in a cell",
)


@dataclass(frozen=True)
class Format:
    """How a sheet is written."""

    separator: str = ","
    encoding: str = "utf-8"
    pack: str = ""
    ends: str = "\n"
    quoting: int = csv.QUOTE_MINIMAL


FORMATS = {
    "semicolon": Format(";"),
    "tab": Format("\t"),
    "pipe": Format("|"),
    "bom": Format(encoding="utf-8-sig"),
    "excel": Format(";", "utf-8-sig", ends="\r\n"),
    "utf-16": Format("\t", "utf-16", ends="\r\n"),
    "utf-16 without mark": Format(encoding="utf-16-le"),
    "windows": Format(";", "cp1252"),
    "old mac": Format(ends="\r"),
    "gzip": Format(pack="gzip"),
    "zip": Format(pack="zip"),
    "quoted": Format(quoting=csv.QUOTE_ALL),
}


def written(s: Sheet, how: Format) -> bytes:
    """Write a sheet as a file."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=how.separator, lineterminator="\n", quoting=how.quoting)  # type: ignore[arg-type]
    writer.writerows([s.header, *s.rows])
    text = s.above.format(s=how.separator) + out.getvalue() + s.below.format(s=how.separator)
    if s.meant.get("town", [""])[-1] != "c":  # a cell of several lines keeps its own ends
        text = text.replace("\n", how.ends)
    raw = text.encode(how.encoding, errors="replace")
    if how.pack == "gzip":
        return gzip.compress(raw)
    if how.pack == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("inner.csv", raw)
        return packed.getvalue()
    return raw


def odd_files() -> Iterator[tuple[str, Sheet, Format]]:
    """Yield every fault in plain CSV, and some in every format."""
    for fault, made in FAULTS.items():
        yield fault, made(), Format()
    for name, how in FORMATS.items():
        for fault in EVERYWHERE:
            yield f"{fault} in {name}", FAULTS[fault](), how

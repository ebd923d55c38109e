"""The tables of docs/record.md, made from the types: python -m moatbench.record.reference FILE."""

import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from inspect import getdoc
from pathlib import Path

from moatbench.record.columns import COLUMNS, LARGER, SMALLER
from moatbench.record.identity import KEYS
from moatbench.record.summary import Plan, Summary

KINDS = {int: "whole number", float: "number", str: "text"}
WORSE = {LARGER: "larger", SMALLER: "smaller", 0: ""}


def columns_table() -> str:
    """A row for each column of curve.csv."""
    rows = [
        [
            f"`{c.name}`",
            c.says,
            c.unit or ("" if c.kind is float else KINDS[c.kind]),
            WORSE[c.worse],
        ]
        for c in COLUMNS.values()
    ]
    return _table(("column", "what it is", "unit", "worse for the defender"), rows)


def fields_table(record: type) -> str:
    """A row for each field of a dataclass, in the words of its docstring."""
    said = dict(re.findall(r"^    (\w+): (.*)$", getdoc(record) or "", re.MULTILINE))
    rows = [[f"`{f.name}`", said[f.name]] for f in fields(record)]
    return _table(("key", "what it is"), rows)


def keys_table() -> str:
    """A row for each top-level key of the config."""
    rows = [
        [f"`{name}`", *("yes" if so else "" for so in (key.result, key.free, key.passed_on))]
        for name, key in KEYS.items()
    ]
    heads = ("can change the result", "may differ within a report", "a confirmation takes it over")
    return _table(("key", *heads), rows)


TABLES = {
    "columns": columns_table,
    "summary": lambda: fields_table(Summary),
    "plan": lambda: fields_table(Plan),
    "keys": keys_table,
}


def renewed(text: str) -> str:
    """Put today's tables between the marks `<!-- NAME -->` and `<!-- / -->` of a page."""
    for name, table in TABLES.items():
        mark = f"<!-- {name} -->"
        head, rest = text.split(mark, 1)
        text = f"{head}{mark}\n{table()}\n{rest[rest.index('<!-- / -->') :]}"
    return text


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(renewed(page.read_text()))

"""What a file of your own would be understood as, before any run.

It prints the line that a run would print, each column with its kind, and what must be decided
first, with the override that decides it. Nothing is asked, trained or written.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbench.cli.options import Command
from moatbench.display.table import text
from moatbench.knobs import check_flag
from moatbench.tables.told import Refused, Understood, knobs, quoted, shortened

if TYPE_CHECKING:
    import pandas as pd

LISTS = ("drop", "categorical", "missing_marks")
KEYS = {
    "path": "of the file: CSV and its kin, packed by gzip or zip or not, Parquet, Arrow, Feather",
    "target": "the column of the classes",
    "drop": "columns to leave out: income, or [income,age]",
    "categorical": "columns of numbers that are names all the same",
    "missing": "drop (the row; the default) or category (a value of its own)",
    "missing_marks": "what stands for a missing value: [NA,'?']; else the usual, in numbers only",
    "separator": "comma, semicolon, tab, pipe, space or a sign; this and the rest: else found out",
    "decimal": "point or comma",
    "thousands": "comma, point, space, apostrophe or none",
    "encoding": "utf-8, utf-16, cp1252, ...",
    "header": "true or false: whether the first line names the columns",
}
COMMAND = Command(
    "moatbench-data path=FILE [target=COLUMN] [KEY=VALUE ...]",
    KEYS | {f"data.{key}": f"the same, as a run takes it: {key}=" for key in KEYS},
)
PREFIX = "data."
FEW, MOST = 2, 20  # values of a column that may be a target


def main() -> None:
    """Say what a file would be understood as; exit with 1 where something must be decided."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        Command(COMMAND.usage, KEYS).offer_help(__doc__)
    try:
        options = COMMAND.read(sys.argv[1:]).options
        given = {key.removeprefix(PREFIX): _value(key, v) for key, v in options.items()}
        if not given.get("path"):
            raise ValueError(f"path= missing; usage: {COMMAND.usage}")
        print(shown(Path(given.pop("path")).expanduser(), given))
    except Refused as refused:
        for problem in refused.problems:
            print(problem, file=sys.stderr)
        sys.exit(f"{COMMAND.name}: {len(refused.problems)} to decide first, as said above")
    except (ValueError, OSError) as error:
        sys.exit(f"{COMMAND.name}: {error}")


def shown(path: Path, given: dict[str, Any]) -> str:
    """Read a file and say in lines what was understood.

    Raises:
        ValueError: see `tables.read.read`.
    """
    from moatbench.tables.read import read

    understood = read(path, knobs(**given))
    told = [understood.line, *understood.notes, "", of_columns(understood), ""]
    return "\n".join([*told, _next(path, given, understood)])


def of_columns(understood: Understood) -> str:
    """Show each column: what it holds, how many values it lacks, the range or the first names."""
    lines = []
    for name, kind in understood.kinds.items():
        kind = "target" if name == understood.target else kind
        missing = str(understood.missing[name] or "")
        lines.append([name, kind, _values(understood.frame[name]), missing])
    return text(["column", "kind", "values", "missing"], lines, words=3)


def _values(values: "pd.Series[Any]") -> str:
    if values.dtype.kind in "iuf":
        return f"{values.min():g} to {values.max():g}"
    return shortened((str(v)[:20] for v in values.dropna().unique()), 4)


def _next(path: Path, given: dict[str, Any], understood: Understood) -> str:
    """Say the command of a run on this file, or which columns may be the target."""
    if understood.target is None:
        frame = understood.frame
        may_be = [name for name in frame.columns if FEW <= frame[name].nunique() <= MOST]
        return f"to choose a target: target={' or '.join(may_be[:10]) or 'COLUMN'}"
    pairs = {"path": str(path), **given}
    words = [f"data.{key}={_written(value)}" for key, value in pairs.items()]
    return f"to run:  {shlex.join(['moatbench', 'data=csv', *words])}"


def _value(key: str, value: str) -> Any:
    """Read a value as Hydra would: lists in brackets, quotes around what is none of its words."""
    name = key.removeprefix(PREFIX)
    if name == "header":
        truth = {"true": True, "false": False, "null": None}.get(value.casefold(), value)
        if truth is not None:
            check_flag("header", truth)
        return truth
    if value == "null" and name != "path":
        return None
    if name in LISTS and value.startswith("[") and value.endswith("]"):
        return [_unquoted(one) for one in _split(value[1:-1])]
    return _unquoted(value)


def _split(inner: str) -> list[str]:
    import csv

    quote = "'" if "'" in inner and '"' not in inner else '"'
    return next(csv.reader([inner], quotechar=quote, skipinitialspace=True), [])


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] in "'\"" else value


def _written(value: Any) -> str:
    """Write a value as Hydra reads it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower().replace("none", "null")
    if isinstance(value, list):
        return f"[{','.join(_written(one) for one in value)}]"
    return quoted(value)

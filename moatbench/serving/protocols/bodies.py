"""The bodies of MLflow's /invocations: four forms of JSON, and CSV."""

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from moatbench.serving.protocols.columns import Columns
from moatbench.serving.protocols.problems import Fault, Problem, bad, invalid, too_large, unreadable
from moatbench.types import Array

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
KEYS = {*FORMS, "params"}
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
MISSING = ("", "null")
JSON, CSV = "application/json", "text/csv"


class Bodies:
    """Reads what MLflow's clients send.

    Args:
        columns: what they may send.
        most_rows: of one request.
    """

    def __init__(self, columns: Columns, most_rows: int) -> None:
        self.columns, self.most_rows = columns, most_rows
        value = float | None if columns.partial else float
        row = list[value]  # type: ignore[valid-type]
        split = msgspec.defstruct(
            "Split",
            [("data", list[row]), ("columns", list[str] | None, None), ("index", Any, None)],
            forbid_unknown_fields=True,
        )
        fields = [
            ("inputs", list[row] | None, None),
            ("instances", list[row] | None, None),
            ("dataframe_split", split | None, None),
            ("params", dict[str, Any] | None, None),
        ]
        # Numbers alone, by a decoder that takes nothing else for a number; all else goes by `_any`
        self._typed: Any = msgspec.json.Decoder(
            msgspec.defstruct("Numbers", fields, forbid_unknown_fields=True)
        )

    def read(self, body: bytes, kind: str) -> Array:
        """Return the rows (n, d) of a body of this content type.

        Raises:
            Problem: 400, 413, 415 or 422.
        """
        media = media_of(kind)
        if media not in (JSON, CSV):
            raise Problem(
                415, "media-type", f"content-type must be {JSON} or {CSV}, in UTF-8; send one"
            )
        if media == CSV:
            return self._csv(body)
        if self.columns.plain:
            # Names, objects, or what is wrong: the longer way knows
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                if (x := self._numbers(self._typed.decode(body))) is not None:
                    return x
        return self._any(loaded(body))

    def _numbers(self, given: Any) -> Array | None:
        """Take rows of numbers, of one form; anything else is told by `_any`."""
        split = given.dataframe_split
        forms = [f for f in (given.inputs, given.instances, split) if f is not None]
        if len(forms) != 1 or given.params:
            return None
        data = forms[0] if split is None else split.data
        self._check_size(data)
        return self.columns.numbers(data, None if split is None else split.columns)

    def _any(self, given: Any) -> Array:
        """Take an object of any of the forms."""
        form = form_of(given)
        data = given[form]
        if form == "dataframe_split":
            return self._split(data)
        if form == "inputs" and isinstance(data, dict):
            return self._by_column(data)
        if not isinstance(data, list):
            raise bad(f"{form} must be a list of rows")
        self._check_size(data)
        if form == "dataframe_records" or isinstance(data[0], dict):
            return self.columns.records(data)
        return self.columns.rows(data, None)

    def _split(self, data: Any) -> Array:
        if not isinstance(data, dict) or not isinstance(data.get("data"), list):
            raise bad("dataframe_split must be an object of columns and data, a list of rows")
        if unknown := [name for name in data if name not in ("columns", "data", "index")]:
            raise _unknown(unknown)
        names = data.get("columns")
        if names is not None and not isinstance(names, list):
            raise bad("dataframe_split: columns must be a list of names")
        self._check_size(data["data"])
        return self.columns.rows(data["data"], names)

    def _by_column(self, data: dict[str, Any]) -> Array:
        """Take an object of columns, as tensors are sent by name."""
        if not data or not all(isinstance(values, list) for values in data.values()):
            raise bad("inputs must be a list of rows, or an object of lists, one a column")
        if len({len(values) for values in data.values()}) > 1:
            raise bad("inputs must have equally many values in each column")
        n = len(next(iter(data.values())))
        self._check_size(range(n))
        names = self.columns.of_interest(data)
        return self.columns.by_column({name: [*map(_alone, data[name])] for name in names}, n)

    def _csv(self, body: bytes) -> Array:
        most = 2 * (self.most_rows + 1)
        try:
            read = csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True)
            # Empty lines count for nothing, but millions of them take seconds
            lines = list(islice(read, most + 1))
        except (UnicodeDecodeError, csv.Error) as error:
            raise unreadable("the body must be CSV in UTF-8 with a line of names") from error
        if len(lines) > most:
            raise too_large("rows of a request", self.most_rows)
        lines = [line for line in lines if line]
        self._check_size(lines[1:])
        numeric = {f.name for f in self.columns.space.features} - set(self.columns.named)
        numeric |= set(self.columns.constants)
        wide = [row for row, line in enumerate(lines[1:]) if len(line) != len(lines[0])]
        if wide:
            raise invalid([Fault(f"must have {len(lines[0])} values", row) for row in wide])
        data = [
            [_cell(c, n in numeric) for c, n in zip(line, lines[0], strict=True)]
            for line in lines[1:]
        ]
        return self.columns.rows(data, lines[0])

    def _check_size(self, data: Sequence[Any]) -> None:
        if not len(data):
            raise bad("a request must have one row or more, got none")
        if len(data) > self.most_rows:
            raise too_large("rows of a request", self.most_rows)


@lru_cache(maxsize=64)
def media_of(kind: str) -> str:
    """Return the media type that a Content-Type tells; '' where it is not in UTF-8."""
    media, *parameters = kind.lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip("\"'") not in ("utf-8", "utf8"):
            return ""
    return media.strip()


def form_of(given: Any) -> str:
    """Name the form of a body: the one key of `FORMS` that it has."""
    if not isinstance(given, dict):
        raise bad(f"the body must be an object with one of {', '.join(FORMS)}")
    if unknown := [name for name in given if name not in KEYS]:
        raise _unknown(unknown)
    forms = [form for form in FORMS if form in given]
    if len(forms) != 1:
        raise bad(f"the body must have one of {', '.join(FORMS)}, got {len(forms)} of them")
    if given.get("params"):
        raise bad("params must be left out: this model takes none")
    return forms[0]


def loaded(body: bytes) -> Any:
    """Read JSON, NaN and Infinity too, as they are told by row and column.

    Raises:
        Problem: it is none, is nested too deeply, or an object has a key twice.
    """
    try:
        given = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
        if SURROGATE.search(body):  # half a pair is no text: no answer could name it
            json.dumps(given, ensure_ascii=False).encode()
        return given
    except (UnicodeError, json.JSONDecodeError) as error:
        raise unreadable("the body must be JSON in UTF-8") from error
    except ValueError as error:  # Python's own limit, which keeps a body from taking hours
        most = sys.get_int_max_str_digits()
        raise unreadable(f"a whole number must have at most {most} digits") from error
    except RecursionError as error:
        raise unreadable("the body must be JSON, and is nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise bad("an object must have each key once")
    return found


def _unknown(names: list[str]) -> Problem:
    told = ", ".join(str(name)[:40] for name in names[:5])
    return bad(f"unknown key {told}; the keys are {', '.join(FORMS)} and params")


def _alone(value: Any) -> Any:
    """Return the one value of a list of one: tensors by name have the shape (n, 1)."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _cell(text: str, numeric: bool) -> Any:
    if text in MISSING:
        return None
    if not numeric or not NUMBER.fullmatch(text):
        return text
    return int(text) if text.isdecimal() and len(text) < 20 else float(text)

"""From the values of a body, in the owner's units and names, to the rows that an API takes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from moatbench.serving.protocols.problems import MOST_ERRORS, Fault, invalid
from moatbench.space import OFF, ON, Categorical, InputSpace, Numeric
from moatbench.types import Array, Rows

NONE: Rows = np.empty(0, np.intp)
EXACT = 2**53  # whole numbers beyond it are not told apart as float64


@dataclass(frozen=True)
class Columns:
    """What a client may send: a value a feature, by the owner's names.

    Args:
        space: of the API's rows.
        partial: whether null leaves a feature out.
        constants: columns of the owner's data that never vary; they may be sent, with their value.
        order: the names of all columns as they stand in the owner's data; () is the space's.
    """

    space: InputSpace
    partial: bool = False
    constants: Mapping[str, float] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    @cached_property
    def names(self) -> list[str]:
        """The names of the features, in order."""
        return [feature.name for feature in self.space.features]

    @cached_property
    def plain(self) -> bool:
        """Whether every feature is a number."""
        return all(isinstance(feature, Numeric) for feature in self.space.features)

    @cached_property
    def _stepped(self) -> bool:
        """Whether some numbers have steps."""
        return bool(self.space.steps.any())

    @cached_property
    def _known(self) -> frozenset[str]:
        """The names of all columns that may be sent."""
        return frozenset([*self.names, *self.constants])

    @property
    def named(self) -> set[str]:
        """The features whose values are names."""
        return set(self._codes)

    @cached_property
    def _codes(self) -> dict[str, dict[Any, int]]:
        """By feature, the code of each value: of names, and of the numbers that names may be."""
        found = {}
        for feature in self.space.features:
            if isinstance(feature, Categorical):
                codes: dict[Any, int] = {}
                for code, name in enumerate(feature.values):
                    codes[name] = code
                    if (number := _number(name)) is not None:
                        codes.setdefault(number, code)
                found[feature.name] = codes
        return found

    def positional(self, width: int) -> list[str]:
        """Name the columns of rows that come without names."""
        if width == len(self.names):
            return self.names
        if self.constants and width == len(self.order):
            return list(self.order)
        raise invalid([Fault(f"a row must have {len(self.names)} values, got {width}")])

    def numbers(
        self, data: Sequence[Sequence[float | None]] | Array, names: list[str] | None
    ) -> Array | None:
        """Take rows of numbers, all within range; None where the longer way has to see them."""
        if names == self.names or names is None:
            with suppress(ValueError):  # ragged
                x = np.array(data, dtype=np.float64)
                if x.ndim == 2 and x.shape[1] == len(self.names) and self._within(x):
                    return x
        return None

    def rows(self, data: Sequence[Any], names: list[str] | None) -> Array:
        """Take rows of any values; `names` say what stands in each place of a row.

        Raises:
            Problem: with the first of what is wrong, by row and column.
        """
        if names is None:
            widths = {len(row) for row in data if isinstance(row, list)}
            names = self.positional(max(widths, default=0))
        _check_names(names, "columns")
        ragged = [
            Fault(f"a row must be a list of {len(names)} values", row)
            for row, values in enumerate(data)
            if not isinstance(values, list) or len(values) != len(names)
        ]
        if ragged:
            raise invalid(ragged)
        taken = zip(*data, strict=True) if names else ()
        return self.by_column(dict(zip(names, map(list, taken), strict=True)), len(data))

    def records(self, data: Sequence[Any]) -> Array:
        """Take a list of objects, a row each."""
        if not all(isinstance(record, dict) for record in data):
            raise invalid([Fault("a record must be an object of columns and their values")])
        sent = dict.fromkeys(name for record in data for name in record)
        names = [name for name in sent if name in self._known]
        absent = (
            Fault("is missing in this row, and was sent in others", row, name)
            for row, record in enumerate(data)
            if len(record) < len(names) and not self.partial
            for name in names
            if name not in record
        )
        if faults := list(islice(absent, MOST_ERRORS)):
            raise invalid(faults)
        names = self.of_interest(sent)
        return self.by_column({n: [record.get(n) for record in data] for n in names}, len(data))

    def of_interest(self, names: Iterable[str]) -> list[str]:
        """Return the names that are known, and the first few others, which are told."""
        known: list[str] = []
        others: list[str] = []
        for name in names:
            (known if name in self._known else others).append(name)
        return known + others[:MOST_ERRORS]

    def by_column(self, given: Mapping[str, Sequence[Any]], n: int) -> Array:
        """Take columns of n values each, by name."""
        told = f"unknown; the columns are {', '.join(self.names[:40])}"
        unknown = (Fault(told, None, str(name)[:100]) for name in given if name not in self._known)
        # A body may name a million: no work grows with how many of them are wrong
        x, faults = np.full((n, self.space.d), np.nan), list(islice(unknown, MOST_ERRORS))
        for feature, place in zip(self.space.features, self.space.columns, strict=True):
            values = given.get(feature.name)
            if values is None:
                if not self.partial:
                    faults.append(Fault("missing; send every column", None, feature.name))
            elif isinstance(feature, Numeric):
                x[:, place.start], wrong = self._numeric(feature, values)
                faults += wrong
            else:
                faults += self._named(feature, values, x[:, place])
        for name, value in self.constants.items():
            faults += self._constant(name, value, given.get(name, ()))
        if faults:
            raise invalid(sorted(faults, key=lambda f: (f.row is not None, f.row or 0)))
        return x

    def answered(self, x: Array) -> tuple[Array, Rows]:
        """Return the rows that are answered, and the places of those that were off a step."""
        if not self._stepped:
            return x, NONE
        at = self.space.answered(x)
        return at, np.flatnonzero(((at != x) & ~np.isnan(x)).any(axis=1))

    def _within(self, x: Array) -> bool:
        """Whether all is in range; false where anything is left out."""
        bounds = self.space.uniform_bounds
        if bounds is not None:
            inside = bool(x.min() >= bounds[0] and x.max() <= bounds[1])
            return inside and (max(map(abs, bounds)) < EXACT or _exact(x))
        return bool(((x >= self.space.low) & (x <= self.space.high)).all()) and _exact(x)

    def _numeric(self, feature: Numeric, values: Sequence[Any]) -> tuple[Array, list[Fault]]:
        """(n,) the numbers of a column, and what is wrong with them."""
        at, faults = np.full(len(values), np.nan), []
        for row, value in enumerate(values):
            wrong = ""
            if value is None:
                wrong = "" if self.partial else "must not be null: no partial rows are taken"
            elif type(value) not in (int, float):
                wrong = "must be a number"
            elif type(value) is int and abs(value) > EXACT:
                wrong = "must be at most 2^53 from 0, as greater whole numbers are not exact"
            elif not feature.low <= value <= feature.high:  # NaN is not
                wrong = f"must lie in [{_told(feature.low)}, {_told(feature.high)}]"
            else:
                at[row] = value
            if wrong:
                faults.append(Fault(wrong, row, feature.name))
                if len(faults) == MOST_ERRORS:
                    break
        return at, faults

    def _named(self, feature: Categorical, values: Sequence[Any], x: Array) -> list[Fault]:
        """Write the columns (n, width) of names; tell what is wrong with them."""
        codes, faults = self._codes[feature.name], []
        for row, value in enumerate(values):
            if value is None and self.partial:
                continue
            known = str(value) if isinstance(value, bool) else value
            code = codes.get(known) if isinstance(known, str | int | float) else None
            if code is None:
                told = ", ".join(feature.values[:20]) + (
                    ", ..." if len(feature.values) > 20 else ""
                )
                wrong = f"must be one of {told}" if value is not None else "must not be null"
                faults.append(Fault(wrong, row, feature.name))
                if len(faults) == MOST_ERRORS:
                    break
            elif feature.one_hot:
                x[row] = OFF
                x[row, code] = ON
            else:
                x[row] = code
        return faults

    def _constant(self, name: str, value: float, values: Sequence[Any]) -> list[Fault]:
        """Tell where a column that never varied in the data does so here."""
        return [
            Fault(f"must be {_told(value)}, as it never varied in the data", row, name)
            for row, given in enumerate(values)
            if type(given) not in (int, float) or given != value
        ][:MOST_ERRORS]


def values(space: InputSpace, x: Array) -> list[list[Any]]:
    """Write rows (n, d) as a client would send them: names for codes, None for what is left out."""
    columns: list[list[Any]] = []
    for feature, place in zip(space.features, space.columns, strict=True):
        part = x[:, place]
        if isinstance(feature, Numeric):
            column: list[Any] = part[:, 0].tolist()
            if feature.step and feature.step % 1 == 0 and feature.low % 1 == 0:
                column = [value if np.isnan(value) else int(value) for value in column]
        else:
            codes = part.argmax(axis=1) if feature.one_hot else np.nan_to_num(part[:, 0])
            names: tuple[Any, ...] = feature.values
            if set(names) <= {"False", "True"}:
                names = tuple(name == "True" for name in names)
            column = [names[int(code)] for code in codes]
        gone = np.isnan(part[:, 0])
        columns.append([None if g else v for v, g in zip(column, gone.tolist(), strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def _check_names(names: Sequence[Any], where: str) -> None:
    """Refuse names that are no texts, or stand twice."""
    if not all(isinstance(name, str) for name in names):
        raise invalid([Fault(f"{where} must be a list of names")])
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise invalid([Fault("stands twice", None, name[:100]) for name in twice[:MOST_ERRORS]])


def _exact(x: Array) -> bool:
    """Whether no number is so great that a whole one may have been rounded on the way."""
    return bool(x.max() < EXACT and x.min() > -EXACT)


def _told(number: float) -> str:
    """Write a number as its owner did: with as few digits as tell it from all others."""
    return repr(float(number)).removesuffix(".0")


def _number(name: str) -> float | None:
    """Return the number that a name is written as, the only way that it is."""
    try:
        number = float(name)
    except ValueError:
        return None
    return number if name in (str(number), f"{number:.0f}") else None

"""Curves: rows of checkpoints, their worst case over attacks, and what sums a curve up."""

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import inf, isnan, log
from pathlib import Path
from typing import Any

from moatbench.record.columns import COLUMNS, LARGER, WORST_CASE, column

Row = dict[str, Any]
HEADLINE = "fidelity_test"
LEVELS = (90, 95, 99)  # per cent of fidelity


def worst_case(curves: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Return, for each checkpoint that any attack reached, the worst over the attacks.

    Each quality of the surrogate, and all that customers paid, is the worst of any attack, metric
    by metric, as in a report's table; all else is the row of the `winner`, the attack with the
    highest fidelity on the test data, then on uniform inputs.
    """
    rows = []
    for queries in sorted({row["queries"] for curve in curves.values() for row in curve}):
        here = {
            name: row
            for name, curve in curves.items()
            for row in curve
            if row["queries"] == queries
        }
        winner = max(here, key=lambda name: _rank(here[name]))
        row = {**here[winner], "attack": WORST_CASE, "winner": winner}
        for key in row:
            values = [r[key] for r in here.values() if isinstance(r.get(key), float | int)]
            values = [v for v in values if not isnan(v)]
            if values and (column(key).is_quality or column(key).is_paid):
                row[key] = max(values) if column(key).worse == LARGER else min(values)
        rows.append(row)
    return rows


def _rank(row: Row) -> tuple[float, ...]:
    """Sort rows by what was stolen; what was not measured is never the worst."""
    return tuple(-inf if isnan(row[k]) else row[k] for k in (HEADLINE, "fidelity_uniform"))


def summary(curve: Sequence[Row]) -> dict[str, float]:
    """Sum a curve up in scalars.

    `queries_to_L` is the first checkpoint with at least L % fidelity on the test data; a level that
    was not reached is left out and `reached_L` is 0: the value is censored at the budget. Where the
    fidelity was not measured (NaN at every checkpoint), `reached_L` is left out too.
    `*_uniform` is the same on uniform inputs. `area*` is the mean of the fidelity over the log of
    the queries between the first checkpoint and the last. `final_*` are the last checkpoint's.
    """
    if not curve:
        return {}
    out: dict[str, float] = {}
    for metric, suffix in ((HEADLINE, ""), ("fidelity_uniform", "_uniform")):
        out[f"area{suffix}"] = area_over_log_queries(curve, metric)
        if all(isnan(row[metric]) for row in curve):
            continue
        for level in LEVELS:
            hit = [row["queries"] for row in curve if row[metric] >= level / 100]
            out[f"reached_{level}{suffix}"] = float(bool(hit))
            if hit:
                out[f"queries_to_{level}{suffix}"] = hit[0]
    last = {k: v for k, v in curve[-1].items() if isinstance(v, float | int)}
    return out | {f"final_{k}": v for k, v in last.items() if k != "queries"}


def area_over_log_queries(curve: Sequence[Row], metric: str) -> float:
    """Mean of a metric over log(queries), by the trapezoid rule; one point is its own mean."""
    points = [(log(row["queries"]), row[metric]) for row in curve]
    width = points[-1][0] - points[0][0]
    if not width:
        return float(points[-1][1])
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    return float(area / width)


def by_attack(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Split the rows of a run into one curve per attack, in order of appearance."""
    curves: dict[str, list[Row]] = {}
    for row in rows:
        curves.setdefault(row["attack"], []).append(row)
    return curves


class CurveFile:
    """curve.csv, written as the run goes: a run that is cut short keeps what it reached."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = []

    def add(self, row: Row) -> None:
        """Append a row; the first decides the columns."""
        new = not self._columns
        self._columns = self._columns or list(row)
        # "x": an earlier run's rows are never taken for this one's
        with self._path.open("x" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            if new:
                writer.writeheader()
            writer.writerow(row)


def digest(path: Path) -> str | None:
    """Return the sha256 of a curve.csv; None where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def read(path: Path) -> list[Row]:
    """Read a curve.csv back, each cell as its column says; strangers' numbers as numbers.

    Raises:
        ValueError: a cell holds something else than its column does.
    """
    with path.open(newline="", errors="replace") as file:
        return [_row(path, row) for row in csv.DictReader(file)]


def _row(path: Path, row: Row) -> Row:
    if None in row or None in row.values() or not row.get("attack"):
        raise ValueError(f"{path} is not whole: a row has other cells than its head names")
    return {name: _cell(path, name, text) for name, text in row.items()}


def _cell(path: Path, name: str, text: str) -> Any:
    known = COLUMNS.get(name)
    if known is None:
        return _number(text)
    try:
        return known.parsed(text)
    except ValueError:
        raise ValueError(
            f"{path}: {name} must be {'a whole number' if known.kind is int else 'a number'}, "
            f"got {text!r}; a run's files are not meant to be edited"
        ) from None


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

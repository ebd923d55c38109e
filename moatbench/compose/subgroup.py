"""A subgroup of honest customers, by a column and a value in the data's own units."""

from difflib import get_close_matches
from math import inf

import numpy as np

from moatbench.data import Column, Table
from moatbench.types import Mask

FORMS = "sex:Female, age:65.. or age:18..30, ends included, in the data's own units"


def members(rule: str, table: Table) -> Mask:
    """(n,) which rows of a table belong to the subgroup `column:value` or `column:low..high`.

    Raises:
        ValueError: the rule is none, or names a column or a value that the data lack.
    """
    column, value = _parsed(rule, table)
    if column.categories is not None:
        if value not in column.categories:
            known = ", ".join(column.categories[:20])
            raise ValueError(f"subgroup: {column.name} must be one of {known}, got {value!r}")
        return np.asarray(column.values == column.categories.index(value))
    low, dots, high = value.partition("..")
    try:
        least = float(low) if low.strip() or not dots else -inf
        most = (float(high) if high.strip() else inf) if dots else least
    except ValueError:
        raise ValueError(
            f"subgroup: {column.name} holds numbers, got {value!r}; write {FORMS}"
        ) from None
    inside = (column.values >= least) & (column.values <= most)
    if not inside.any():
        raise ValueError(
            f"subgroup: {column.name} runs from {column.values.min():g} to "
            f"{column.values.max():g}, and no row has {value!r}; write {FORMS}"
        )
    return np.asarray(inside)


def check_rule(rule: str) -> None:
    """Raise a ValueError unless a rule has the form of one, whatever the data are."""
    if ":" not in rule:
        raise ValueError(f"subgroup must be a column and a value, got {rule!r}; write {FORMS}")


def _parsed(rule: str, table: Table) -> tuple[Column, str]:
    """Split a rule behind the column that it names; names and values may hold colons too."""
    known = {column.name: column for column in table.columns}
    check_rule(rule)
    places = [place for place, letter in enumerate(rule) if letter == ":"]
    for place in places:
        if (name := rule[:place].strip()) in known:
            return known[name], rule[place + 1 :].strip()
    near = get_close_matches(rule[: places[0]], known, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    raise ValueError(
        f"subgroup must name a column of {table.name}, got {rule!r}{hint} Columns: "
        f"{', '.join(list(known)[:40])}"
    )

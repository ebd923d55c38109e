"""Which of a model's classes is which of the data's."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def class_order(given: Sequence[Any], classes: Sequence[str]) -> tuple[int, ...]:
    """Return, for each of the data's classes, its place among the model's.

    Names that are equal belong together, numbers by their value. A model of 0 to k - 1, as
    encoded labels are, means the data's classes in their order: numbers by value, names as they
    stand.

    Raises:
        ValueError: the names differ; it holds both lists.
    """
    k = len(classes)
    keys, wanted = [_key(c) for c in given], [_key(c) for c in classes]
    if len(keys) == len(set(keys)) == k and set(keys) == set(wanted):
        return tuple(keys.index(key) for key in wanted)
    if len(keys) == len(set(keys)) == k and set(keys) == {float(i) for i in range(k)}:
        places = sorted(range(k), key=lambda i: wanted[i]) if _are_numbers(wanted) else range(k)
        rank = {place: i for i, place in enumerate(places)}
        return tuple(keys.index(float(rank[i])) for i in range(k))
    if len(given) and all(isinstance(c, bool | np.bool_) for c in given):
        return class_order([int(c) for c in given], classes)
    raise ValueError(
        f"the model's classes must be the data's ({_listed(classes)}) or 0 to {k - 1}, "
        f"got {_listed(given)}; choose the data's target that it was trained on"
    )


def label_places(
    values: Sequence[Any], known: Sequence[Any] | None, classes: Sequence[str]
) -> dict[float | str, int]:
    """Return the data's class of each label that a model may answer.

    Args:
        values: labels that it has answered.
        known: the model's own classes; None where it does not say.
        classes: the data's.

    Raises:
        ValueError: a label is none of the data's classes, nor one of 0 to k - 1.
    """
    if known is None:
        keys, k = {_key(v) for v in values}, len(classes)
        if keys <= {_key(c) for c in classes}:
            known = classes
        elif keys <= {float(i) for i in range(k)}:
            known = range(k)
        else:
            known = list(dict.fromkeys(values))
    order = class_order(known, classes)
    return {_key(known[place]): i for i, place in enumerate(order)}


def place_of(value: Any, places: Mapping[float | str, int]) -> int:
    """Return the class of a label.

    Raises:
        ValueError: it is none of them.
    """
    if (key := _key(value)) not in places:
        raise ValueError(f"the model answered the label {value!r}, which is none of its classes")
    return places[key]


def _key(value: Any) -> float | str:
    """Return a number as it counts, a name as it is written."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    word = value.decode() if isinstance(value, bytes) else str(value)
    try:
        number = float(word)
    except ValueError:
        return word
    return number if math.isfinite(number) else word


def _are_numbers(keys: Sequence[float | str]) -> bool:
    return all(isinstance(key, float) for key in keys)


def _listed(names: Sequence[Any]) -> str:
    shown = ", ".join(str(name) for name in list(names)[:20])
    return shown + (", ..." if len(names) > 20 else "")

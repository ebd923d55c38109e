"""Checks of a part's knobs: what came, what is allowed, what to do."""

from collections.abc import Iterable
from math import inf


def check_number(
    knob: str,
    value: object,
    low: float,
    high: float = inf,
    *,
    above: bool = False,
    below: bool = False,
    other: str = "",
    hint: str = "",
) -> None:
    """Raise a ValueError unless a knob is a finite number from `low` to `high`.

    Args:
        knob: part and knob, as in "reverse_sigmoid: beta".
        value: what came.
        low: the least value allowed, itself excluded where `above`.
        high: the greatest, itself excluded where `below`; infinity is no limit, and is refused.
        above: see `low`.
        below: see `high`.
        other: what is allowed beside numbers, in words; the caller checks it.
        hint: what to do, in words.
    """
    if not isinstance(value, float | int) or isinstance(value, bool):
        inside = False
    else:  # a chain of comparisons is false for NaN
        inside = low <= value <= high and value != inf
        inside = inside and not (above and value == low) and not (below and value == high)
    if not inside:
        allowed = _range(low, high, above, below) + (other and f", or {other}")
        raise ValueError(f"{knob} must be a number {allowed}, got {value!r}{hint}")


def check_whole(
    knob: str, value: object, low: int, high: float = inf, *, other: str = "", hint: str = ""
) -> None:
    """Raise a ValueError unless a knob is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        allowed = _range(low, high) + (other and f", or {other}")
        raise ValueError(f"{knob} must be a whole number {allowed}, got {value!r}{hint}")


def check_choice(knob: str, value: object, allowed: Iterable[str], *, hint: str = "") -> None:
    """Raise a ValueError unless a knob is one of the words allowed."""
    words = list(allowed)
    if value not in words:
        raise ValueError(f"{knob} must be {' or '.join(words)}, got {value!r}{hint}")


def check_flag(knob: str, value: object) -> None:
    """Raise a ValueError unless a knob is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{knob} must be true or false, got {value!r}")


def check_kind(knob: str, value: object, kind: type, *, hint: str = "") -> None:
    """Raise a ValueError unless a knob is a part of the kind that is wanted."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ValueError(f"{knob} must be {article} {kind.__name__}, got {value!r}{hint}")


def _range(low: float, high: float, above: bool = False, below: bool = False) -> str:
    if high == inf:
        return f"above {low:g}" if above else f"of at least {low:g}"
    if above and below:
        return f"between {low:g} and {high:g}"
    if above:
        return f"above {low:g} and up to {high:g}"
    return f"from {low:g} to {'below ' if below else ''}{high:g}"

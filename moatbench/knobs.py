"""Checks of a part's knobs: what came, what is allowed, what to do."""

from math import inf


def check_number(
    knob: str, value: object, low: float, high: float = inf, *, above: bool = False, hint: str = ""
) -> None:
    """Raise a ValueError unless a knob is a finite number from `low` to `high`.

    Args:
        knob: part and knob, as in "reverse_sigmoid: beta".
        value: what came.
        low: the least value allowed, itself excluded where `above`.
        high: the greatest; infinity is no limit, and is not allowed itself.
        above: whether the value must lie above `low`.
        hint: what to do, in words.
    """
    if not isinstance(value, float | int) or isinstance(value, bool):
        inside = False
    else:  # a chain of comparisons is false for NaN
        inside = low <= value <= high and value != inf and not (above and value == low)
    if not inside:
        raise ValueError(f"{knob} must be a number {_range(low, high, above)}, got {value!r}{hint}")


def check_whole(knob: str, value: object, low: int, high: float = inf, *, hint: str = "") -> None:
    """Raise a ValueError unless a knob is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        span = _range(low, high, above=False)
        raise ValueError(f"{knob} must be a whole number {span}, got {value!r}{hint}")


def check_choice(knob: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError unless a knob is one of the words allowed."""
    if value not in allowed:
        raise ValueError(f"{knob} must be {' or '.join(allowed)}, got {value!r}")


def check_flag(knob: str, value: object) -> None:
    """Raise a ValueError unless a knob is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{knob} must be true or false, got {value!r}")


def _range(low: float, high: float, above: bool) -> str:
    if high == inf:
        return f"above {low:g}" if above else f"of at least {low:g}"
    return f"above {low:g} and up to {high:g}" if above else f"from {low:g} to {high:g}"

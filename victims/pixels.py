"""How your own network is handed pictures: their range, and what is taken off each channel."""

from collections.abc import Sequence
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any

from moatbench.data import Dataset
from moatbench.victims.asking import OwnEncoding

if TYPE_CHECKING:
    from moatbench.formats.readers.torch_module import Pixels

WHOLE = (0.0, 1.0)
RANGES = (WHOLE, (-1.0, 1.0), (0.0, 255.0))  # to which networks are commonly handed pixels


def pixels_of(
    data: Dataset, range: Any, mean: Any, std: Any, encoding: OwnEncoding | None
) -> "Pixels | None":
    """Return how a network is handed pictures; None where the data are no bytes.

    Raises:
        ValueError: a knob is no list of numbers, or would not count, or pictures would be scaled
            twice.
    """
    lit, mean, std = (
        _numbers(knob, value)
        for knob, value in (
            ("victim.range", range),
            ("victim.mean", mean),
            ("victim.std", std),
        )
    )
    if len(lit) != 2:
        raise ValueError(f"victim.range must be [darkest, brightest], got {list(range)}")
    if data.table.image is None or data.table.pixels is None:
        given = {"range": lit != WHOLE, "mean": len(mean) > 0, "std": len(std) > 0}
        if names := [f"victim.{name}" for name, told in given.items() if told]:
            raise ValueError(
                f"{' and '.join(names)} must be left out before {data.table.name}, whose columns "
                "are no 8-bit pixels; the network takes its rows as they are, or from -1 to 1 with "
                "victim.encoding=scaled"
            )
        return None
    if encoding == "scaled":
        raise ValueError(
            "victim.encoding must be left out before pictures, got scaled; for pixels from -1 to 1 "
            "say victim.range=[-1,1]"
        )
    from moatbench.formats.readers.torch_module import Pixels

    return Pixels(data.table.image, *lit, mean, std)


def _numbers(knob: str, value: Any) -> tuple[float, ...]:
    value = value.tolist() if hasattr(value, "tolist") else value  # numpy's
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed or not all(map(_is_number, value)):
        given = f"[{value}]" if _is_number(value) else "[0.5]"
        example = "[0,1]" if knob.endswith("range") else given
        shown = list(value) if listed else value
        raise ValueError(f"{knob} must be a list of numbers, got {shown!r}; say {knob}={example}")
    return tuple(float(one) for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)

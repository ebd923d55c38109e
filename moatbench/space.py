"""What a prediction API accepts: features in order, their bounds, their categories."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from moatbench.types import Array, Generator, Mask, Rows

T = TypeVar("T", bound=np.generic)
OFF, ON = -1.0, 1.0  # a one-hot column, on the scale of the numeric ones


@dataclass(frozen=True)
class Numeric:
    """A real-valued feature, one column, in [low, high]."""

    name: str
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(
                f"feature {self.name!r}: low must be below high, got [{self.low}, {self.high}]"
            )

    @property
    def width(self) -> int:
        """Columns that the feature takes."""
        return 1


@dataclass(frozen=True)
class Categorical:
    """A feature with k named values: a one-hot group of k columns, or one of codes 0..k-1."""

    name: str
    values: tuple[str, ...]
    one_hot: bool = True

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"feature {self.name!r} has no values; give at least one")

    @property
    def width(self) -> int:
        """Columns that the feature takes."""
        return len(self.values) if self.one_hot else 1


@dataclass(frozen=True)
class InputSpace:
    """The inputs that an API accepts, as rows of d columns.

    A NaN leaves a feature out (all columns of its one-hot group together), where the API takes
    partial inputs. A one-hot column is -1 (off) or +1 (on); a row whose groups are not one-hot is
    accepted, but is not `valid`: real clients do not send it, Tramèr's equation solver does.

    Args:
        features: in the order of the columns.
        image: (height, width), where the columns are the pixels of a picture.
    """

    features: tuple[Numeric | Categorical, ...]
    image: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.image is not None and self.image[0] * self.image[1] != self.d:
            raise ValueError(f"an image of {self.image} needs as many columns, got {self.d}")

    @classmethod
    def box(cls, d: int, image: tuple[int, int] | None = None) -> "InputSpace":
        """Return the cube [-1, 1]^d."""
        return cls(tuple(Numeric(f"x{i}") for i in range(d)), image)

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """The columns of each feature."""
        ends = np.cumsum([f.width for f in self.features]).tolist()
        return tuple(slice(end - f.width, end) for f, end in zip(self.features, ends, strict=True))

    @cached_property
    def d(self) -> int:
        """Number of columns."""
        return sum(f.width for f in self.features)

    @cached_property
    def low(self) -> Array:
        """(d,) the least value of each column."""
        return fixed(np.concatenate([np.full(f.width, _bounds(f)[0]) for f in self.features]))

    @cached_property
    def high(self) -> Array:
        """(d,) the greatest value of each column."""
        return fixed(np.concatenate([np.full(f.width, _bounds(f)[1]) for f in self.features]))

    @cached_property
    def groups(self) -> tuple[slice, ...]:
        """The columns of each one-hot group."""
        pairs = zip(self.features, self.columns, strict=True)
        return tuple(c for f, c in pairs if isinstance(f, Categorical) and f.one_hot)

    @cached_property
    def coded(self) -> Rows:
        """The columns that hold raw categorical codes."""
        pairs = zip(self.features, self.columns, strict=True)
        codes = [c.start for f, c in pairs if isinstance(f, Categorical) and not f.one_hot]
        return fixed(np.array(codes, dtype=np.intp))

    @cached_property
    def uniform_bounds(self) -> tuple[float, float] | None:
        """(low, high) where all columns share them, else None."""
        if np.ptp(self.low) == 0 and np.ptp(self.high) == 0:
            return float(self.low[0]), float(self.high[0])
        return None

    @cached_property
    def numeric(self) -> Mask:
        """(d,) which columns hold numeric features."""
        kinds = [isinstance(feature, Numeric) for feature in self.features]
        return fixed(np.repeat(kinds, [feature.width for feature in self.features]))

    def encode(self, x: Array) -> Array:
        """Put every column on [-1, 1], raw category codes as columns of -1, +1.

        What is left out (NaN) is 0. A row's code is the same whatever rows stand beside it.
        """
        side = np.maximum(self.high - self.low, np.finfo(np.float64).tiny)
        z = np.nan_to_num((2 * x - self.low - self.high) / side)
        if not self.coded.size:
            return z
        spread = [2.0 * (x[:, [c]] == np.arange(self.high[c] + 1)) - 1.0 for c in self.coded]
        return np.hstack([np.delete(z, self.coded, axis=1), *spread])

    def snap(self, x: Array, step: float) -> Array:
        """(n, d) the nearest points of a grid, within the bounds; categories stay as they are.

        Args:
            x: (n, d) inputs.
            step: of the grid, as a share of each numeric feature's range; the grid starts at its
                low end, and its high end belongs to it as well.
        """
        low, high = self.low[self.numeric], self.high[self.numeric]
        cell = step * (high - low)
        at = x.copy()
        at[:, self.numeric] = np.clip(
            low + cell * np.rint((x[:, self.numeric] - low) / cell), low, high
        )
        return at

    def sample(self, n: int, rng: Generator) -> Array:
        """Draw n valid inputs uniformly: (n, d), one-hot groups respected."""
        x = self.sample_cube(n, rng)
        rows = np.arange(n)
        for group in self.groups:
            x[:, group] = OFF
            x[rows, group.start + rng.integers(group.stop - group.start, size=n)] = ON
        return x

    def sample_cube(self, n: int, rng: Generator) -> Array:
        """Draw n points uniformly from the bounds: (n, d), one-hot groups ignored."""
        x = rng.uniform(self.low, self.high, (n, self.d))
        if self.coded.size:
            sizes = self.high[self.coded].astype(np.int64) + 1
            x[:, self.coded] = rng.integers(sizes, size=(n, self.coded.size))
        return x

    def valid(self, x: Array) -> Mask:
        """(n,) whether an honest client could send each row; NaN counts as left out."""
        missing = np.isnan(x)
        ok: Mask = np.all(missing | ((x >= self.low) & (x <= self.high)), axis=1)
        ok &= np.all(missing[:, self.coded] | (x[:, self.coded] % 1 == 0), axis=1)
        for group in self.groups:
            part, gone = x[:, group], missing[:, group]
            one_hot = ((part == ON).sum(axis=1) == 1) & np.isin(part, (OFF, ON)).all(axis=1)
            ok &= gone.all(axis=1) | one_hot
        return ok

    def problem(self, x: Array, partial: bool) -> str:
        """Say why the API does not accept these rows, in one line; '' where it does."""
        if x.ndim != 2 or x.shape[1] != self.d:
            return f"expected rows of {self.d} columns, got an array of shape {x.shape}"
        if not x.size or self._plainly_inside(x):
            return ""
        missing, kind = np.isnan(x), "outside [{low:g}, {high:g}]"
        if missing.any() and not partial:
            row, column = np.argwhere(missing)[0]
            return (
                f"row {row} leaves out {self._name(column)!r} (NaN), and this API takes no partial "
                "inputs; fill every feature"
            )
        wrong = ~missing & ~((x >= self.low) & (x <= self.high))
        if not wrong.any():
            kind = "not a whole category code"
            wrong[:, self.coded] = ~missing[:, self.coded] & (x[:, self.coded] % 1 != 0)
        if not wrong.any():
            return ""
        row, column = np.argwhere(wrong)[0]
        told = kind.format(low=self.low[column], high=self.high[column])
        return f"row {row} has {self._name(column)!r} = {x[row, column]:g}, {told}"

    def _plainly_inside(self, x: Array) -> bool:
        """Whether one cheap pass shows that all is well; NaN makes both comparisons false."""
        if self.coded.size:
            return False
        if self.uniform_bounds is None:
            return bool(((x >= self.low) & (x <= self.high)).all())
        return bool(x.min() >= self.uniform_bounds[0] and x.max() <= self.uniform_bounds[1])

    def _name(self, column: int) -> str:
        """Name the feature of a column."""
        return [f.name for f in self.features for _ in range(f.width)][column]


def fixed(array: NDArray[T]) -> NDArray[T]:
    """Return an array that can only be read: who writes to what is everybody's fails at once."""
    array.setflags(write=False)
    return array


def _bounds(feature: Numeric | Categorical) -> tuple[float, float]:
    if isinstance(feature, Numeric):
        return feature.low, feature.high
    return (OFF, ON) if feature.one_hot else (0.0, float(len(feature.values) - 1))

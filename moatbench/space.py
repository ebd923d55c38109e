"""What a prediction API accepts: features in order, their bounds, their categories."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from moatbench.feature import OFF as OFF
from moatbench.feature import ON as ON
from moatbench.feature import Categorical as Categorical
from moatbench.feature import Numeric as Numeric
from moatbench.types import Array, Generator, Mask, Rows
from moatbench.types import fixed as fixed


@dataclass(frozen=True)
class InputSpace:
    """The inputs that an API accepts, as rows of d columns.

    A NaN leaves a feature out (all columns of its one-hot group together), where the API takes
    partial inputs. A one-hot column is -1 (off) or +1 (on); a row whose groups are not one-hot is
    accepted, but is not `valid`: real clients do not send it, Tramèr's equation solver does.

    Args:
        features: in the order of the columns.
        image: (channels, height, width), where the columns are the pixels of a picture, channel
            by channel and row by row; (height, width) is one of one channel.
    """

    features: tuple[Numeric | Categorical, ...]
    image: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.image is not None:
            image = (1, *self.image) if len(self.image) == 2 else tuple(self.image)
            object.__setattr__(self, "image", image)
            if len(image) != 3 or prod(image) != self.d:
                raise ValueError(f"an image of {image} needs as many columns, got {self.d}")

    @classmethod
    def box(cls, d: int, image: tuple[int, ...] | None = None) -> "InputSpace":
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
        return fixed(np.concatenate([np.full(f.width, f.bounds[0]) for f in self.features]))

    @cached_property
    def high(self) -> Array:
        """(d,) the greatest value of each column."""
        return fixed(np.concatenate([np.full(f.width, f.bounds[1]) for f in self.features]))

    @cached_property
    def steps(self) -> Array:
        """(d,) the step of each numeric column; 0 where any number is taken, and for names."""
        steps = [f.step if isinstance(f, Numeric) else 0.0 for f in self.features]
        return fixed(np.repeat(steps, [f.width for f in self.features]))

    @cached_property
    def levels(self) -> int | None:
        """How many values every column has (256 for 8-bit pixels); None where they differ."""
        if not self.numeric.all() or not self.steps.all():
            return None
        counts = np.rint((self.high - self.low) / self.steps).astype(np.int64) + 1
        return int(counts[0]) if np.ptp(counts) == 0 else None

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

    def scaled(self, x: Array) -> Array:
        """(n, d) all numbers from -1 to 1 by their range, codes as they are: x where it is so."""
        own = self.numeric & ((self.low != -1) | (self.high != 1))
        if not own.any():
            return x
        z = x.copy()
        low, high = self.low[own], self.high[own]
        z[:, own] = (2 * x[:, own] - low - high) / (high - low)
        return z

    def unscaled(self, z: Array) -> Array:
        """(n, d) the rows of which `scaled` makes these, within the bounds."""
        own = self.numeric & ((self.low != -1) | (self.high != 1))
        if not own.any():
            return z
        x = z.copy()
        low, high = self.low[own], self.high[own]
        x[:, own] = np.clip(low + (z[:, own] + 1) / 2 * (high - low), low, high)
        return x

    def coordinates(self, x: Array) -> Array:
        """(n, m) where distances are measured: as `scaled`, and a code as columns of -1, +1.

        What is left out (NaN) is 0. `encode` is the same to rounding; learners keep to its bits.
        """
        return self._spread(x, np.nan_to_num(self.scaled(x)))

    def encode(self, x: Array) -> Array:
        """Put every column on [-1, 1], raw category codes as columns of -1, +1.

        What is left out (NaN) is 0. A row's code is the same whatever rows stand beside it.
        """
        side = np.maximum(self.high - self.low, np.finfo(np.float64).tiny)
        return self._spread(x, np.nan_to_num((2 * x - self.low - self.high) / side))

    def _spread(self, x: Array, z: Array) -> Array:
        """(n, m) z, where each code in x has a column for each of its names, at the end."""
        if not self.coded.size:
            return z
        spread = [2.0 * (x[:, [c]] == np.arange(self.high[c] + 1)) - 1.0 for c in self.coded]
        return np.hstack([np.delete(z, self.coded, axis=1), *spread])

    def snap(self, x: Array, step: float) -> Array:
        """(n, d) the nearest points of a grid, within bounds and on steps; categories stay.

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
        return self.answered(at)

    def answered(self, x: Array) -> Array:
        """(n, d) the rows that an API answers when it is asked x: numbers at their nearest step.

        x itself where any number is taken. In decimals, as they are written: 0.3, and not 3 * 0.1.
        """
        columns = np.flatnonzero(self.steps)
        if not columns.size:
            return x
        step, low, high = self.steps[columns], self.low[columns], self.high[columns]
        last = np.floor((high - low) / step + 1e-9)
        at = x.copy()
        value = low + np.clip(np.rint((x[:, columns] - low) / step), 0, last) * step
        written = np.rint(value * self._decimal) / self._decimal
        at[:, columns] = np.where(self._decimal > 0, written, value)
        return at

    @cached_property
    def _decimal(self) -> Array:
        """Of each column with a step: the power of ten that makes its numbers whole, or nan."""
        places = [f.decimals for f in self.features if isinstance(f, Numeric) and f.step]
        return np.array([np.nan if p is None else 10.0**p for p in places])

    def sample(self, n: int, rng: Generator) -> Array:
        """Draw n valid inputs uniformly: (n, d), one-hot groups respected."""
        x = self.sample_cube(n, rng)
        rows = np.arange(n)
        for group in self.groups:
            x[:, group] = OFF
            x[rows, group.start + rng.integers(group.stop - group.start, size=n)] = ON
        return x

    def sample_cube(self, n: int, rng: Generator) -> Array:
        """Draw n points uniformly from the bounds and steps: (n, d), one-hot groups ignored."""
        half = self.steps / 2  # the least and the greatest step are as likely as any other
        x = self.answered(rng.uniform(self.low - half, self.high + half, (n, self.d)))
        if self.coded.size:
            sizes = self.high[self.coded].astype(np.int64) + 1
            x[:, self.coded] = rng.integers(sizes, size=(n, self.coded.size))
        return x

    def valid(self, x: Array) -> Mask:
        """(n,) whether an honest client could send each row; NaN counts as left out."""
        missing = np.isnan(x)
        ok: Mask = np.all(missing | ((x >= self.low) & (x <= self.high)), axis=1)
        ok &= np.all(missing[:, self.coded] | (x[:, self.coded] % 1 == 0), axis=1)
        ok &= np.all(missing | (x == self.answered(x)), axis=1)
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

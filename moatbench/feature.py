"""What an input consists of: numbers with bounds and steps, and names."""

from dataclasses import dataclass

OFF, ON = -1.0, 1.0  # a one-hot column, on the scale of numbers that are scaled
MOST_DECIMALS = 12
ROUNDING = 1e-13  # of a product with a power of ten


@dataclass(frozen=True)
class Numeric:
    """A number, one column, in [low, high]: any, or where `step` > 0, low + i * step only."""

    name: str
    low: float = -1.0
    high: float = 1.0
    step: float = 0.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(
                f"feature {self.name!r}: low must be below high, got [{self.low}, {self.high}]"
            )
        if not 0 <= self.step <= self.high - self.low:
            raise ValueError(
                f"feature {self.name!r}: step must be 0 (any number) or up to high - low, got "
                f"{self.step} in [{self.low}, {self.high}]"
            )

    @property
    def width(self) -> int:
        """Columns that the feature takes."""
        return 1

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value of its column."""
        return self.low, self.high

    @property
    def decimals(self) -> int | None:
        """Decimals that write each of its steps and its low end; None where there are too many."""
        for decimals in range(MOST_DECIMALS + 1):
            parts = self.low * 10**decimals, self.step * 10**decimals
            if all(abs(part - round(part)) <= ROUNDING * max(1, abs(part)) for part in parts):
                return decimals
        return None


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

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value of its columns."""
        return (OFF, ON) if self.one_hot else (0.0, float(len(self.values) - 1))

"""What is known of a column of curve.csv."""

from dataclasses import dataclass
from math import inf, nan
from typing import Any, Literal

LARGER, SMALLER = 1, -1  # is worse for whoever deploys the defense
SHARE, UP = (0.0, 1.0), (0.0, inf)
Group = Literal["meter", "surrogate", "watermark", "honest", "shifted"]
Place = Literal["note", "dashboard", "terminal", "page", "chart"]


@dataclass(frozen=True)
class Column:
    """A column of curve.csv, whose metric in MLflow has its name.

    Args:
        name: in the file.
        says: what it is.
        unit: of its values; '' for a plain number.
        group: what it tells of: the meter, the surrogate, its watermark, or customers.
        worse: LARGER or SMALLER values are worse for whoever deploys the defense; 0 is neither.
        scale: ends of its values, at which intervals are cut.
        kind: of its values: float, int or str.
        heading: a few words, over a table's column and on a chart.
        shown: where: MLflow's note on a run or its dashboard, the terminal's table of customers,
            the same table of the report's page, the page's charts.
    """

    name: str
    says: str
    unit: str = ""
    group: Group = "meter"
    worse: int = 0
    scale: tuple[float, float] = (-inf, inf)
    kind: type = float
    heading: str = ""
    shown: tuple[Place, ...] = ()

    @property
    def is_quality(self) -> bool:
        """Whether it tells how good a surrogate is: a worst case takes the worst of any attack."""
        return self.group == "surrogate" and self.worse != 0

    @property
    def is_paid(self) -> bool:
        """Whether it tells what customers paid: a worst case takes the worst under any attack."""
        return self.group in ("honest", "shifted") and self.worse != 0

    @property
    def measure(self) -> str:
        """Its name without the customers': `l1_mean` of `honest_l1_mean`."""
        return self.name.removeprefix(f"{self.group}_")

    def parsed(self, text: str) -> Any:
        """Read a cell; an empty one holds no number, NaN."""
        if self.kind is str:
            return text
        return self.kind(text) if text else nan

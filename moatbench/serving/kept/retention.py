"""How long a service keeps what was asked: so many rows, or so many days."""

import re
import time
from dataclasses import dataclass

from moatbench.serving.store import Store

DAY = 24 * 3600.0
TOLD = re.compile(r"(\d+(?:\.\d+)?)\s*(d|days?|rows?)?")


@dataclass(frozen=True)
class Retention:
    """What is forgotten of the log; counts, budgets and alarms stay.

    Args:
        rows: that are kept at most, the newest; None is all.
        days: after which rows are forgotten; None is never.
    """

    rows: int | None = None
    days: float | None = None

    @classmethod
    def of(cls, told: str) -> "Retention":
        """Read `30d`, or a number of rows.

        Raises:
            ValueError: it is neither.
        """
        found = TOLD.fullmatch(told.strip())
        number = float(found[1]) if found else 0.0
        in_days = bool(found and (found[2] or "").startswith("d"))
        if number <= 0 or not (in_days or number.is_integer()):
            raise ValueError(f"forget_after must be rows or days, 100000 or 30d, got {told!r}")
        return cls(days=number) if in_days else cls(rows=int(number))

    def __str__(self) -> str:
        return f"{self.days:g} days" if self.days is not None else f"{self.rows:,} rows"

    def apply(self, store: Store) -> int:
        """Forget what is due; return how many requests that was."""
        before = None if self.days is None else time.time() - self.days * DAY
        return store.forget(before, self.rows)

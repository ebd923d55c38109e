"""What a run may still ask of a service, what it asked, and why it asks no more."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moatbench.remote.client import GO_ON, Stopped
from moatbench.remote.memo import Memo

HEADER = ("time", "purpose", "rows", "seconds", "outcome")
CHECKS, RUN = "checks", "run"


@dataclass(frozen=True)
class Limits:
    """What a run may ask.

    Args:
        rows: in all; each request counts, answered or not.
        batch: rows of a request.
        price: US dollars that the service takes for a row.
        dollars: in all; None is no limit.
        recheck: seconds after which a service that is known is tried again.
    """

    rows: int
    batch: int
    price: float = 0.0
    dollars: float | None = None
    recheck: float = 3600.0


class Purse:
    """Counts rows before they are sent, and enters each request into the ledger.

    Args:
        limits: of this run.
        memo: of the service, which has a ledger of all runs.

    Attributes:
        asked: rows sent in this run.
        purpose: of what is asked next, for the ledger.
    """

    def __init__(self, limits: Limits, memo: Memo) -> None:
        self.limits, self.asked, self.purpose = limits, 0, CHECKS
        self._memo = memo
        self._stopped: Stopped | None = None
        self._entries: list[tuple[Any, ...]] = []
        self._ledger: Path | None = None

    def left(self) -> int:
        """Rows that may still be asked; raise Stopped where there are none."""
        if self._stopped is not None:
            raise self._stopped
        if self._memo.broken:
            raise self.stop(self._memo.broken)
        limits, left = self.limits, self.limits.rows - self.asked
        cap = f"victim.most_rows={limits.rows}"
        if limits.dollars is not None and limits.price > 0:
            paid = int(limits.dollars / limits.price + 1e-9) - self.asked
            if paid < left:
                left, cap = paid, f"victim.most_dollars={limits.dollars:g}"
        if left < 1:
            raise self.stop(f"{cap} is reached, after {self.asked} rows; raise it, and {GO_ON}")
        return left

    def enter(self, begun: float, n: int, outcome: str) -> None:
        """Enter a request of n rows, sent at a time, into the ledger."""
        entry = begun, self.purpose, n, time.time() - begun, outcome
        self._memo.entered(*entry)
        self._entries.append(entry)
        if self._ledger is not None:
            try:
                with self._ledger.open("a", newline="") as file:
                    csv.writer(file).writerow(entry)
            except OSError as error:
                raise self.stop(
                    f"{self._ledger} can no longer be written ({error.strerror}); make room there: "
                    f"{GO_ON}"
                ) from error

    def keep_ledger(self, file: Path) -> None:
        """Write what was asked so far in this run to a file, and from now on what is asked."""
        self._ledger, self.purpose = file, RUN
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([HEADER, *self._entries])

    def stop(self, reason: str) -> Stopped:
        """Remember why nothing more is asked: each further question ends so at once."""
        self._stopped = Stopped(reason)
        return self._stopped

    def go_on(self) -> None:
        """Forget what stopped it: it was a trial."""
        self._stopped = None

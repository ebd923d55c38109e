"""An endpoint as a victim's model: each row asked once, within caps, and entered in a ledger."""

import csv
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from moatbench.remote.client import GO_ON, Client, Stopped, TooMany
from moatbench.remote.mapping import Mapped, Told, Unreadable, plain
from moatbench.remote.memo import Memo, key_of
from moatbench.remote.reading import Reading
from moatbench.reply import Reply
from moatbench.types import Array

CANARIES = 20  # rows that are asked twice
CLOSE = 1e-6  # how far answers to one row may lie apart: replicas round otherwise
UNREAD = 3  # answers in a row
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


class Endpoint:
    """Answers an API's rows by asking a service.

    Args:
        client: of the service.
        mapped: what is sent, and where predictions stand.
        inputs: turns rows (n, d) into a frame of the owner's columns.
        limits: of this run.
        memo: of the service.
        stochastic: whether its answers vary: then each row is asked each time.

    Attributes:
        asked: rows sent in this run.
        reading: how answers are read; known once `learn` was called.
    """

    def __init__(
        self,
        client: Client,
        mapped: Mapped,
        inputs: Callable[[Array], Any],
        limits: Limits,
        memo: Memo,
        *,
        stochastic: bool = False,
    ) -> None:
        self.client, self.mapped, self.limits, self.memo = client, mapped, limits, memo
        self.stochastic, self.asked, self.purpose = stochastic, 0, CHECKS
        self.reading: Reading | None = None
        self.batch = 1 if mapped.single else limits.batch
        self._inputs, self._lock = inputs, threading.RLock()
        self._known: dict[bytes, Told] = {}
        self._stopped: Stopped | None = None
        self._entries: list[tuple[Any, ...]] = []
        self._ledger: Path | None = None

    def __deepcopy__(self, _: Any) -> Self:
        """A copy of a victim asks the same service, under the same caps."""
        return self

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows.

        Raises:
            Stopped: the service answers no more, or a cap is reached.
        """
        assert self.reading is not None
        with self._lock:
            return self.reading.reply(self.told(x))

    def told(self, x: Array) -> list[Told]:
        """Return what the service tells of rows; what it told before, where its answers stand."""
        if not len(x):
            return []
        if self.stochastic:
            return self.fresh(x)
        marks = [row.tobytes() for row in np.ascontiguousarray(x)]
        new = {mark: row for row, mark in enumerate(marks) if mark not in self._known}
        if new:
            columns = self.columns(x[list(new.values())])
            keys = _keys(columns)
            kept = self.memo.get(keys)
            self._known |= {
                mark: Told(*kept[key]) for mark, key in zip(new, keys, strict=True) if key in kept
            }
            absent = [i for i, key in enumerate(keys) if key not in kept]
            order = list(new)
            for part, answers in self._in_batches(columns, absent):
                self.memo.put({keys[i]: a for i, a in zip(part, answers, strict=True)})
                self._known |= {order[i]: a for i, a in zip(part, answers, strict=True)}
        return [self._known[mark] for mark in marks]

    def fresh(self, x: Array) -> list[Told]:
        """Ask rows, whatever was told of them before."""
        batches = self._in_batches(self.columns(x), range(len(x)))
        return [told for _, answers in batches for told in answers]

    def remembered(self, x: Array) -> dict[int, Told]:
        """Return what is remembered of rows, by their places."""
        keys = [] if self.stochastic else _keys(self.columns(x))
        kept = self.memo.get(keys)
        return {row: Told(*kept[key]) for row, key in enumerate(keys) if key in kept}

    def keep(self, x: Array, told: Sequence[Told]) -> None:
        """Remember what was told of rows."""
        self.memo.put(dict(zip(_keys(self.columns(x)), told, strict=True)))

    def unknown(self, x: Array) -> int:
        """Count the distinct rows that would have to be asked."""
        keys = _keys(self.columns(x)) if len(x) else []
        return len(set(keys) - self.memo.get(keys).keys())

    def unsure(self, x: Array) -> bool:
        """Whether it is time to ask rows again, to see that the service answers as it did."""
        told = not self.stochastic and not self.unknown(x)
        return not (told and self.memo.checked_within(self.limits.recheck))

    def tried(self, columns: Mapping[str, list[Any]]) -> list[Told] | str:
        """Ask rows that the service may not take; return why it did not, which stops nothing."""
        try:
            return [
                told
                for _, part in self._in_batches(columns, range(_height(columns)))
                for told in part
            ]
        except Stopped as error:
            self._stopped = None
            return str(error)

    def columns(self, x: Array) -> dict[str, list[Any]]:
        """Return rows as they are sent, by column."""
        frame = self._inputs(x)
        return {str(name): [plain(v) for v in frame[name].tolist()] for name in frame}

    def keep_ledger(self, file: Path) -> None:
        """Write what was asked so far in this run to a file, and from now on what is asked."""
        self._ledger, self.purpose = file, RUN
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([HEADER, *self._entries])

    def _in_batches(self, columns: Mapping[str, list[Any]], rows: Sequence[int]) -> Any:
        """Yield places of rows, and what was told of them, a request at a time."""
        todo = list(rows)
        while todo:
            part = todo[: min(self.batch, self._left())]
            try:
                answers = self._request({n: [v[i] for i in part] for n, v in columns.items()})
            except TooMany as error:
                if len(part) == 1:
                    row = {name: values[part[0]] for name, values in columns.items()}
                    raise self._stop(f"{error}; it was asked the row {row}") from None
                self.batch = max(1, len(part) // 2)
                continue
            yield part, answers
            todo = todo[len(part) :]

    def _left(self) -> int:
        """Rows that may still be asked; raise Stopped where there are none."""
        if self._stopped is not None:
            raise self._stopped
        limits, left = self.limits, self.limits.rows - self.asked
        cap = f"victim.most_rows={limits.rows}"
        if limits.dollars is not None and limits.price > 0:
            paid = int(limits.dollars / limits.price + 1e-9) - self.asked
            if paid < left:
                left, cap = paid, f"victim.most_dollars={limits.dollars:g}"
        if left < 1:
            raise self._stop(f"{cap} is reached, after {self.asked} rows; raise it, and {GO_ON}")
        return left

    def _request(self, columns: Mapping[str, list[Any]]) -> list[Told]:
        """Send one request; ask again where the answer cannot be read."""
        n, body = _height(columns), self.mapped.body(columns)
        for attempt in range(1, UNREAD + 1):
            if attempt > 1:
                self._left()
            self.asked += n  # what gets no answer may have been billed
            begun, outcome = time.time(), "answered"
            try:
                told = self.mapped.read(self.client.post(body), n)
                if self.reading is not None:  # nothing that cannot be read is remembered
                    self.reading.reply(told)
                return told
            except TooMany:
                outcome = "too large, or failed"
                raise
            except Unreadable as error:
                outcome = "unreadable"
                if attempt == UNREAD:
                    what = "changed its schema" if self.reading else "speaks another protocol"
                    raise self._stop(f"the service {what}: {error}") from None
            except (Stopped, PermissionError) as error:
                outcome = "stopped"
                raise self._stop(str(error)) if isinstance(error, Stopped) else error from None
            finally:
                self._enter(begun, n, outcome)
        raise AssertionError

    def _enter(self, begun: float, n: int, outcome: str) -> None:
        entry = begun, self.purpose, n, time.time() - begun, outcome
        self.memo.entered(*entry)
        self._entries.append(entry)
        if self._ledger is not None:
            with self._ledger.open("a", newline="") as file:
                csv.writer(file).writerow(entry)

    def _stop(self, reason: str) -> Stopped:
        """Remember why nothing more is asked: each further question ends so at once."""
        self._stopped = Stopped(reason)
        self.client.close()
        return self._stopped


def _height(columns: Mapping[str, list[Any]]) -> int:
    return len(next(iter(columns.values())))


def _keys(columns: Mapping[str, list[Any]]) -> list[bytes]:
    names = list(columns)
    return [
        key_of(list(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)
    ]

"""An endpoint as a victim's model: each row asked once, within caps, and looked at on the way."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from moatbench.remote.client import Client, Refused, Stopped, TooMany
from moatbench.remote.mapping import HAS_DEFENSE, Mapped, Told, Unreadable, plain
from moatbench.remote.memo import Memo, key_of
from moatbench.remote.purse import Limits, Purse
from moatbench.remote.reading import Reading, gap_between
from moatbench.reply import Reply
from moatbench.types import Array

CANARIES = 20  # rows that are asked twice
WATCHED, EVERY, LATE = 3, 500, 200  # of these again, after so many rows; at the end, after fewer
UNREAD = 3  # answers in a row


class Endpoint:
    """Answers an API's rows by asking a service.

    Args:
        client: of the service.
        mapped: what is sent, and where predictions stand.
        inputs: turns rows (n, d) into a frame of the owner's columns.
        limits: of this run.
        memo: of the service.
        stochastic: whether its answers vary: then each row is asked each time.
        names: of the features, one a column of rows.

    Attributes:
        purse: what may still be asked.
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
        names: Sequence[str] = (),
    ) -> None:
        self.client, self.mapped, self.limits, self.memo = client, mapped, limits, memo
        self.stochastic, self.purse = stochastic, Purse(limits, memo)
        self.names = tuple(names)
        self.reading: Reading | None = None
        self.batch = 1 if mapped.single else limits.batch
        self._inputs, self._lock = inputs, threading.RLock()
        self._known: dict[bytes, Told] = {}
        self._watched: tuple[dict[str, list[Any]], list[Told]] | None = None
        self._sure, self._seen = time.time(), 0  # when it last answered as before, after how many

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
                self.look_again()
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
            self.purse.go_on()
            return str(error)

    def columns(self, x: Array) -> dict[str, list[Any]]:
        """Return rows as they are sent, by column."""
        frame = self._inputs(x)
        return {str(name): [plain(v) for v in frame[name].tolist()] for name in frame}

    def keep_ledger(self, file: Path) -> None:
        """Write what is asked in this run to a file."""
        self.purse.keep_ledger(file)

    @contextmanager
    def through(self, client: Client) -> Iterator[Self]:
        """Ask as another client meanwhile: with another key, under the same caps."""
        with self._lock:
            before, self.client = self.client, client
            try:
                yield self
            finally:
                self.client = before

    def watch(self, x: Array, told: Sequence[Told]) -> None:
        """Ask a few rows again on the way, of which this was told."""
        self._watched = self.columns(x[:WATCHED]), list(told[:WATCHED])

    def look_again(self, every: int = EVERY) -> None:
        """See that the service answers as it did, where so many rows were asked meanwhile.

        Raises:
            Stopped: it does not; what it told since it last did is forgotten.
        """
        if self._watched is None or self.purse.asked - self._seen < every:
            return
        assert self.reading is not None
        columns, before = self._watched
        self._seen, begun = self.purse.asked, time.time()
        batches = self._in_batches(columns, range(_height(columns)))
        now = [told for _, answers in batches for told in answers]
        if gap := gap_between(self.reading, before, now):
            self.memo.forget(self._sure)
            raise self.stop(
                f"the service answers rows otherwise than at the start, by up to {gap:.3g}: it "
                "varies, or is another model now; what it told since it last answered alike is "
                "forgotten, and once it answers as before, the same command goes on; for another "
                "model add victim.memo=new"
            )
        self._sure = begun

    def _in_batches(self, columns: Mapping[str, list[Any]], rows: Sequence[int]) -> Any:
        """Yield places of rows, and what was told of them, a request at a time."""
        todo = list(rows)
        while todo:
            part = todo[: min(self.batch, self.purse.left())]
            try:
                answers = self._request({n: [v[i] for i in part] for n, v in columns.items()})
            except TooMany as error:
                if len(part) == 1:
                    row = {name: values[part[0]] for name, values in columns.items()}
                    raise self.stop(f"{error}; it was asked the row {row}") from None
                self.batch = max(1, len(part) // 2)
                continue
            yield part, answers
            todo = todo[len(part) :]

    def _request(self, columns: Mapping[str, list[Any]]) -> list[Told]:
        """Send one request; ask again where the answer cannot be read."""
        n, body = _height(columns), self.mapped.body(columns)
        for attempt in range(1, UNREAD + 1):
            if attempt > 1:
                self.purse.left()
            self.purse.asked += n  # what gets no answer may have been billed
            begun, outcome = time.time(), "answered"
            try:
                told = self.mapped.read(self.client.post(body), n)
                if self.reading is not None:  # what cannot be read is not remembered
                    read = self.reading.some if self.mapped.refusals else self.reading.reply
                    read(told)
                return told
            except Refused as error:
                outcome = "refused"
                if not self.mapped.refusals:
                    raise self.stop(f"{error}; {HAS_DEFENSE}") from None
                return [Told(None, None)] * n
            except TooMany:
                outcome = "too large, or failed"
                raise
            except Unreadable as error:
                outcome = "unreadable"
                if attempt == UNREAD:
                    what = "changed its schema" if self.reading else "speaks another protocol"
                    raise self.stop(f"the service {what}: {error}") from None
            except (Stopped, PermissionError) as error:
                outcome = "stopped"
                raise self.stop(str(error)) if isinstance(error, Stopped) else error from None
            finally:
                self.purse.enter(begun, n, outcome)
        raise AssertionError

    def stop(self, reason: str) -> Stopped:
        """Remember why nothing more is asked: each further question ends so at once."""
        self.client.close()
        return self.purse.stop(self.client.masked(reason))


def on_the_way(rows: int) -> int:
    """Tell how many rows are asked again in the course of so many."""
    return WATCHED * (rows // EVERY + (rows % EVERY >= LATE))


def _height(columns: Mapping[str, list[Any]]) -> int:
    return len(next(iter(columns.values())))


def _keys(columns: Mapping[str, list[Any]]) -> list[bytes]:
    names = list(columns)
    return [
        key_of(list(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)
    ]

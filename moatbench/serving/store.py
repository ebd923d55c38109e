"""What a service must not forget, in SQLite: accounts, queries, alarms, answers to be repeated."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from moatbench.types import Array

FILE = "state.db"
DURABLE = {"process": "NORMAL", "machine": "FULL"}
KEPT = 24 * 3600.0  # seconds that an answer is kept for a retry with the same Idempotency-Key
COUNT = (
    "update accounts set queries = queries + ?, refused = refused + ?, waits_until = ? where id = ?"
)
TABLES = """
create table if not exists accounts(
    id integer primary key, name text not null, digest blob not null unique,
    token text not null unique, budget integer, created real not null, revoked real,
    queries integer not null default 0, refused integer not null default 0,
    waits_until real not null default 0);
create table if not exists log(
    seq integer primary key, account integer not null, time real not null,
    rows integer not null, x blob, reply blob);
create table if not exists replies(
    account integer not null, key text not null, digest blob not null, time real not null,
    status integer not null, kind text not null, body blob not null, primary key(account, key));
create index if not exists replies_by_time on replies(time);
create table if not exists alarms(
    account integer primary key, time real not null, queries integer not null);
create table if not exists meta(name text primary key, value text not null);
"""


class Account(NamedTuple):
    """A client as the service knows it; its key is known as a hash alone."""

    id: int
    name: str
    digest: bytes
    token: str
    budget: int | None
    created: float
    revoked: float | None
    queries: int
    refused: int
    waits_until: float


class Entry(NamedTuple):
    """What one request leaves behind.

    `x` (n, d) is None where counts are enough; `reply` is the model's own, where it varies;
    `repeat` is (key, digest of the body, status, content type, body) of an Idempotency-Key;
    `alarm` the number of the query that raised the account's first alarm.
    """

    account: int
    time: float
    rows: int
    refused: int
    waits_until: float
    x: Array | None = None
    reply: bytes | None = None
    repeat: tuple[str, bytes, int, str, bytes] | None = None
    alarm: int | None = None

    @property
    def counts_alone(self) -> bool:
        """Whether it leaves nothing but a count."""
        return self.x is None and self.repeat is None and self.alarm is None


@contextmanager
def usable(folder: Path | None) -> Iterator[None]:
    """Say of a folder what is wrong with it, where something is.

    Raises:
        ValueError: it cannot be read or written, or its file is none of SQLite's.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise ValueError(
            "state must be a folder that can be written, with room, and a state.db that is whole, "
            f"got {folder} ({error}); mend it, or name another"
        ) from error


class Store:
    """The file of a service's state.

    Args:
        folder: where it lies; it is made, for its owner alone. None is memory.
        durable: `process` outlives the process, whatever ends it; `machine` the power as well.

    Raises:
        ValueError: see `usable`.
    """

    def __init__(self, folder: Path | None, durable: str = "process") -> None:
        self.file = None if folder is None else folder / FILE
        with usable(folder):
            self._open(durable)

    def _open(self, durable: str) -> None:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.file.touch(mode=0o600)
        place = self.file or ":memory:"
        self.db = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
        self.db.execute("pragma busy_timeout = 10000")
        self.db.execute("pragma journal_mode = wal")
        self.db.execute(f"pragma synchronous = {DURABLE[durable]}")
        self.db.executescript(TABLES)

    def size(self) -> int:
        """Return the bytes that it takes on disk."""
        files = self.file.parent.glob(f"{FILE}*") if self.file else ()
        return sum(file.stat().st_size for file in files)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    # ---- accounts ---------------------------------------------------------------------------

    def accounts(self) -> list[Account]:
        """All accounts, in the order in which they were made."""
        names = ", ".join(Account._fields)
        rows = self.db.execute(f"select {names} from accounts order by id")
        return [Account(*row) for row in rows]

    def add(self, name: str, digest: bytes, token: str, budget: int | None) -> int:
        """Add an account; return its id."""
        made = self.db.execute(
            "insert into accounts(name, digest, token, budget, created) values(?, ?, ?, ?, ?)",
            (name, digest, token, budget, time.time()),
        )
        return int(made.lastrowid or 0)

    def revoke(self, account: int) -> None:
        """End an account; what it asked stays."""
        self.db.execute(
            "update accounts set revoked = ? where id = ? and revoked is null",
            (time.time(), account),
        )

    def changes(self) -> int:
        """Return a number that another process's write changes."""
        return int(self.db.execute("pragma data_version").fetchone()[0])

    # ---- the log ----------------------------------------------------------------------------

    def write(self, entries: Sequence[Entry]) -> None:
        """Write what requests leave behind, at once; when it returns, it is not forgotten."""
        db, first = self.db, entries[0]
        if len(entries) == 1 and first.counts_alone:  # a transaction of its own
            db.execute(COUNT, (first.rows, first.refused, first.waits_until, first.account))
            return
        totals: dict[int, tuple[int, int, float]] = {}
        for e in entries:
            rows, refused, _ = totals.get(e.account, (0, 0, 0.0))
            totals[e.account] = rows + e.rows, refused + e.refused, e.waits_until
        db.execute("begin immediate")
        try:
            for account, total in totals.items():
                db.execute(COUNT, (*total, account))
            for e in entries:
                if not e.counts_alone:
                    self._write(e)
            db.execute("commit")
        except BaseException:
            if db.in_transaction:  # a full disk may have ended it
                db.execute("rollback")
            raise

    def _write(self, e: Entry) -> None:
        """Write what a request leaves behind beside its count."""
        db = self.db
        if e.x is not None:
            db.execute(
                "insert into log(account, time, rows, x, reply) values(?, ?, ?, ?, ?)",
                (e.account, e.time, e.rows, e.x.tobytes(), e.reply),
            )
        if e.alarm is not None:
            db.execute("insert or ignore into alarms values(?, ?, ?)", (e.account, e.time, e.alarm))
        if e.repeat is not None:
            db.execute("delete from replies where time < ?", (e.time - KEPT,))
            key, digest, status, kind, body = e.repeat
            db.execute(
                "insert or replace into replies values(?, ?, ?, ?, ?, ?, ?)",
                (e.account, key, digest, e.time, status, kind, body),
            )

    def logged(self, d: int) -> Iterator[tuple[int, float, Array, bytes | None]]:
        """Yield account, time, rows (n, d) and the model's reply, in the order of arrival."""
        rows = self.db.execute("select account, time, x, reply from log order by seq")
        for account, when, x, reply in rows:
            yield account, when, np.frombuffer(x, np.float64).reshape(-1, d), reply

    def forget(self, before: float | None, rows: int | None) -> int:
        """Delete what was asked before a time, or is not among the newest rows; return how much.

        What is deleted is overwritten on the disk.
        """
        self.db.execute("pragma secure_delete = on")
        gone = 0
        if before is not None:
            gone += self.db.execute("delete from log where time < ?", (before,)).rowcount
        if rows is not None:
            gone += self.db.execute(
                "delete from log where seq <= coalesce((select max(seq) from (select seq, "
                "sum(rows) over (order by seq desc) as kept from log) where kept > ?), 0)",
                (rows,),
            ).rowcount
        if gone:
            self.db.execute("pragma wal_checkpoint(truncate)")
        return gone

    def repeated(self, account: int, key: str) -> tuple[bytes, int, str, bytes] | None:
        """Return what was answered under an Idempotency-Key: digest, status, type, body."""
        found = self.db.execute(
            "select digest, status, kind, body from replies where account = ? and key = ? "
            "and time >= ?",
            (account, key, time.time() - KEPT),
        ).fetchone()
        return found and tuple(found)

    # ---- alarms and facts -------------------------------------------------------------------

    def alarms(self) -> dict[int, tuple[float, int]]:
        """Return time and number of queries of each account's first alarm; a fact that stays."""
        return {a: (when, n) for a, when, n in self.db.execute("select * from alarms")}

    def get(self, name: str) -> str | None:
        """Return a fact that was kept."""
        found: Any = self.db.execute("select value from meta where name = ?", (name,)).fetchone()
        return found and str(found[0])

    def set(self, name: str, value: str) -> None:
        """Keep a fact."""
        self.db.execute("insert or replace into meta values(?, ?)", (name, value))

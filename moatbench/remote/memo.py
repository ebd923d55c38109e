"""What an endpoint has answered, on disk: no row is paid for twice. And when it was asked."""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path
from typing import Any

from moatbench.remote.client import GO_ON, Stopped

FOLDER: ContextVar[Path | None] = ContextVar("folder", default=None)  # None: in memory
AT_ONCE = 500  # keys of one look-up
WAIT = 60.0  # seconds for another run that writes
TABLES = """
create table if not exists answers (key blob primary key, answer text, at real);
create table if not exists checks (at real);
create table if not exists ledger (at real, purpose text, rows integer, seconds real, outcome text);
"""


@contextmanager
def kept_in(folder: Path | None) -> Iterator[None]:
    """Keep the memos of endpoints that are made meanwhile in this folder; None keeps none."""
    token = FOLDER.set(folder)
    try:
        yield
    finally:
        FOLDER.reset(token)


def key_of(row: Sequence[Any]) -> bytes:
    """Return the key of a row as it is sent."""
    return sha256(json.dumps(row, sort_keys=True).encode()).digest()


class Memo:
    """One file of SQLite for each endpoint and way to ask it; several runs may use it at once.

    Args:
        identity: of the endpoint: address, protocol, what is sent and how answers are read.
        kept: whether it outlives this process.

    Attributes:
        broken: why it keeps nothing any more, as on a full disk; '' where it does. What could not
            be kept would be paid for again, so that nothing more is asked.
    """

    def __init__(self, identity: Mapping[str, Any], *, kept: bool = True) -> None:
        told = json.dumps(identity, sort_keys=True, default=str)
        name, folder = sha256(told.encode()).hexdigest()[:24], FOLDER.get() if kept else None
        self.file = None if folder is None else folder / f"{name}.db"
        self.broken = ""
        try:
            self._db = self._opened()
        except (OSError, sqlite3.Error) as error:
            raise ValueError(
                f"cache must be a folder that can be written, got {folder} ({error}); make room, "
                "or name another with cache="
            ) from error

    def _opened(self) -> sqlite3.Connection:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            self.file or ":memory:", timeout=WAIT, check_same_thread=False, isolation_level=None
        )
        if self.file is not None:
            db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=normal")
        db.executescript(TABLES)
        return db

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """Return what is known of these rows."""
        found: dict[bytes, Any] = {}
        for start in range(0, len(keys), AT_ONCE):
            part = keys[start : start + AT_ONCE]
            marks = ",".join("?" * len(part))
            query = f"select key, answer from answers where key in ({marks})"
            found |= {key: json.loads(answer) for key, answer in self._done(query, *part)}
        return found

    def put(self, answers: Mapping[bytes, Any]) -> None:
        """Keep answers, before anybody uses them."""
        now = time.time()
        rows = [(key, json.dumps(answer), now) for key, answer in answers.items()]
        with self._whole() as db:
            db.executemany("insert or replace into answers values (?, ?, ?)", rows)

    def forget(self, since: float = 0.0) -> None:
        """Forget the answers since a time, and that they were tried; the ledger stays."""
        with self._whole() as db:
            db.execute("delete from answers where at >= ?", (since,))
            db.execute("delete from checks")

    def checked(self) -> None:
        """Note that the endpoint answers as it did."""
        self._done("insert into checks values (?)", time.time())

    def checked_within(self, seconds: float) -> bool:
        """Whether that was noted so many seconds ago, or fewer."""
        ((last,),) = self._done("select max(at) from checks")
        return last is not None and 0 <= time.time() - last <= seconds

    def entered(self, at: float, purpose: str, rows: int, seconds: float, outcome: str) -> None:
        """Enter a request into the ledger."""
        query = "insert into ledger values (?, ?, ?, ?, ?)"
        self._done(query, at, purpose, rows, seconds, outcome)

    def pace(self) -> float | None:
        """Seconds a row took so far; None where none was asked."""
        query = "select sum(seconds), sum(rows) from ledger where outcome = 'answered'"
        ((seconds, rows),) = self._done(query)
        return seconds / rows if rows else None

    def _done(self, query: str, *values: Any) -> list[Any]:
        """Do one thing; return its rows."""
        with self._at_hand() as db:
            return db.execute(query, values).fetchall()

    @contextmanager
    def _whole(self) -> Iterator[sqlite3.Connection]:
        """Do several things, or none."""
        with self._at_hand() as db:
            db.execute("begin immediate")
            try:
                yield db
                db.execute("commit")
            except BaseException:
                if db.in_transaction:  # a full disk may have ended it
                    db.execute("rollback")
                raise

    @contextmanager
    def _at_hand(self) -> Iterator[sqlite3.Connection]:
        """Give the database; where it fails, that ends the run, and not an attack alone."""
        try:
            yield self._db
        except sqlite3.Error as error:
            self.broken = (
                f"answers can no longer be kept in {self.file} ({error}); make room there, or name "
                f"another folder with cache=: {GO_ON}"
            )
            raise Stopped(self.broken) from error

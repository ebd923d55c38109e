"""Budgets that several processes share, in PostgreSQL: for defenses that remember nothing."""

import hashlib
from asyncio import to_thread
from typing import Any

from moatbench.serving.protocols.problems import Problem
from moatbench.serving.store import Account

MOST = 32  # connections, as many as threads that wait for one
TABLE = """
create table if not exists moatbench_counts(
    account text primary key, name text not null, budget bigint, n bigint not null default 0)
"""
# One statement: two processes never both take what is left
TAKE = (
    "update moatbench_counts set n = n + %s where account = %s "
    "and (budget is null or n + %s <= budget) returning n"
)


class Counts:
    """Counts the rows of each key, whichever replica is asked.

    Args:
        url: of the database, postgresql://user@host/name.
    """

    def __init__(self, url: str) -> None:
        from psycopg2.pool import ThreadedConnectionPool

        self._pool: Any = ThreadedConnectionPool(1, MOST, url)
        self._done(TABLE)

    def add(self, key: str, name: str, budget: int | None = None) -> None:
        """Let a key ask so many rows; None is any number."""
        self._done(
            "insert into moatbench_counts(account, name, budget) values(%s, %s, %s)",
            (_hashed(key.encode()), name, budget),
        )

    async def take(self, account: Account, rows: int) -> None:
        """Count rows of an account, before they are answered.

        The commit is the database's: what is answered is counted, also where this process ends.

        Raises:
            Problem: 401, no such account; 402, its budget does not allow them.
        """
        who = account.digest.hex()
        if await to_thread(self._done, TAKE, (rows, who, rows)):
            return
        left = "select budget - n from moatbench_counts where account = %s"
        if not (found := await to_thread(self._done, left, (who,))):
            told = "a valid key must be sent; add the header Authorization: Bearer KEY"
            raise Problem(401, "unauthenticated", told, headers={"www-authenticate": "Bearer"})
        told = f"{rows} rows were asked, and the budget of this key leaves {found[0][0]}"
        raise Problem(402, "budget", told)

    def counted(self) -> dict[str, int]:
        """Return how many rows each account has asked, by its name."""
        return dict(self._done("select name, n from moatbench_counts"))

    def close(self) -> None:
        """Let go of the database."""
        self._pool.closeall()

    def _done(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Run one statement in a transaction of its own; return its rows."""
        held = self._pool.getconn()
        try:
            with held, held.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            self._pool.putconn(held)


def _hashed(key: bytes) -> str:
    """Hash a key as accounts are known."""
    return hashlib.sha256(key.hex().encode()).hexdigest()

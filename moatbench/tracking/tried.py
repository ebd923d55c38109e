"""A store of MLflow, tried before anything is computed that it would have to take."""

import os
import re
import shlex
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from moatbench.tracking.store import TrackingFailed, cause, database, locked, open_store, sqlite

PATIENCE = 10  # seconds for whoever is writing to the file
_REVISION = re.compile(r"^(down_)?revision\b.*?=\s*[\"'](\w+)[\"']", re.MULTILINE)


class _Unusable(Exception):
    """Says why, in a few words."""


def require_usable(uri: str, experiment: str, artifacts: str | None = None) -> None:
    """Make sure that a store takes runs of an experiment; of SQLite without importing MLflow.

    Raises:
        TrackingFailed: it does not; says why and what to do.
    """
    try:
        if (db := database(uri)) is not None:
            _require_sqlite(db, experiment)
        else:
            open_store(uri, experiment, artifacts)
    except TrackingFailed:
        raise
    except Exception as error:  # MLflow raises many kinds, requests and SQLAlchemy add theirs
        raise TrackingFailed(
            f"nothing was run: MLflow at {uri} must take the runs, and does not "
            f"({cause(error)}); mend it, name another with tracking.uri=..., or go without: "
            "tracking.enabled=false"
        ) from error


def missing(uri: str, runs: Collection[str]) -> set[str]:
    """Return which of these runs an SQLite store has lost; of other stores nothing is known."""
    db = database(uri)
    if db is None:
        return set()
    try:
        with _opened(db, "ro") as base:
            there = {str(row[0]) for row in base.execute("SELECT run_uuid FROM runs")}
    except sqlite3.Error:
        return set(runs)
    return set(runs) - there


def _require_sqlite(db: Path, experiment: str) -> None:
    """Refuse a file that MLflow could not write to, or would not."""
    db.parent.mkdir(parents=True, exist_ok=True)
    if not all(os.access(place, os.W_OK) for place in (db, db.parent) if place.exists()):
        raise _Unusable(f"{db} must be writable, and its folder too")
    if _is_half_made(db):
        with locked(sqlite(db)):  # whoever is making it has this
            if _is_half_made(db):
                db.unlink()
    if not db.exists() or not db.stat().st_size:
        return  # the first run makes it
    with _opened(db, "rw") as base:
        base.execute("BEGIN IMMEDIATE")  # what a locked or a broken file does not let pass
        base.rollback()
        tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master")}
        if tables and not {"experiments", "runs"} <= tables:
            raise _Unusable(f"{db} holds other tables than MLflow's")
        if "alembic_version" in tables:
            _require_schema(db, base)
            _require_alive(base, experiment)


def _is_half_made(db: Path) -> bool:
    """Whether a process was killed while MLflow made this store: it holds nothing at all yet."""
    if not db.exists() or not db.stat().st_size:
        return False
    try:
        with _opened(db, "ro") as base:
            found = {str(row[0]) for row in base.execute("SELECT version_num FROM alembic_version")}
            return found != _revisions()[1] and not any(
                base.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
                for table in ("experiments", "runs", "registered_models")
            )
    except sqlite3.Error:  # it is none of MLflow's, or locked: told below
        return False


@contextmanager
def _opened(db: Path, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"{db.resolve().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as base:
        yield base


def _require_schema(db: Path, base: sqlite3.Connection) -> None:
    found = [str(row[0]) for row in base.execute("SELECT version_num FROM alembic_version")]
    known, newest = _revisions()
    if not newest or set(found) == newest:
        return
    if set(found) <= known:
        raise _Unusable(
            "an older MLflow wrote it; copy the file, then let this one rewrite it with: "
            f"{shlex.join(['mlflow', 'db', 'upgrade', sqlite(db.resolve())])}"
        )
    raise _Unusable("a newer MLflow than the one installed here wrote it")


def _require_alive(base: sqlite3.Connection, experiment: str) -> None:
    asked = "SELECT lifecycle_stage FROM experiments WHERE name = ?"
    if ("deleted",) in base.execute(asked, (experiment,)).fetchall():
        raise TrackingFailed(
            f"nothing was run: the experiment {experiment!r} was deleted in MLflow; restore it "
            "there, or choose another name=..."
        )


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """Return the schemas that the installed MLflow knows, and the newest; none if it hides them."""
    spec = find_spec("mlflow")
    root = Path(spec.origin).parent if spec and spec.origin else Path()
    known: set[str] = set()
    older: set[str] = set()
    for file in (root / "store" / "db_migrations" / "versions").glob("*.py"):
        for down, revision in _REVISION.findall(file.read_text()):
            (older if down else known).add(revision)
    return frozenset(known), frozenset(known - older)

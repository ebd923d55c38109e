"""One folder, one run: who may write where, and what an earlier run left there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from moatbench.record.identity import config_hash
from moatbench.record.recovered import FILE as RECOVERED
from moatbench.record.summary import FILE, FINISHED, NOT_APPLICABLE, RecordUnreadable, Summary

LOCK = ".lock"
LEDGER = "ledger.csv"  # what was asked of a service, and when
OF_A_RUN = (
    *("curve.csv", FILE, "mlflow.json", "card.json", "victim.npz", "curve.png", LEDGER, RECOVERED),
    "curve.pdf",  # of earlier versions
)
HYDRAS = (".hydra/config.yaml", "moatbench.log")  # in a sweep, Hydra has written them by now
_held: dict[Path, FileLock] = {}  # by this process, until it ends or takes another


class FolderTaken(RuntimeError):
    """The folder belongs to another run; the message says whose, and what to do."""


class Earlier(NamedTuple):
    """What an earlier run left in a folder.

    Args:
        config_hash: of its config; '' where nothing tells.
        title: of the run; '' where nothing tells.
        finished: whether it came to its end.
    """

    config_hash: str
    title: str
    finished: bool


def fresh(folder: Path) -> Path:
    """Make a folder that nobody else has, under this name or one with a number behind it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    number, own = 1, folder
    while True:
        try:
            own.mkdir()
        except FileExistsError:
            number += 1
            own = folder.with_name(f"{folder.name}_{number}")
        else:
            return own


def hold(folder: Path) -> None:
    """Keep every other process out of a folder, until this one ends; a kill lets go as well.

    Raises:
        FolderTaken: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FolderTaken(
            f"{folder} is in use by a command that is still running; give this one a folder of its "
            "own with hydra.run.dir=, or wait for the other"
        ) from None
    _held[folder.absolute()] = lock


def let_go(folder: Path | None = None) -> None:
    """Give up a folder; None is all that this process holds."""
    for place in list(_held) if folder is None else [folder.absolute()]:
        if (lock := _held.pop(place, None)) is not None:
            lock.release()


def require_free(folder: Path, config: str, *, force: bool, begun: bool = False) -> str:
    """Make sure that nothing of another run lies in a folder; return what was cleared, in a line.

    Args:
        folder: held by this process.
        config: the hash of the run's config.
        force: whether a finished run of this config is replaced.
        begun: whether Hydra has written its files of this run.

    Raises:
        FolderTaken: it holds another config's run, or a finished one of this config.
    """
    files = OF_A_RUN if begun else (*OF_A_RUN, *HYDRAS)
    found = left_in(folder) if any((folder / name).exists() for name in files) else None
    if found is None:
        return ""
    named = f" ({found.title})" if found.title else ""
    if found.config_hash != config:
        raise FolderTaken(
            f"{folder} holds a run of another config{named}; give this one a folder of its own, or "
            "delete that one"
        )
    if found.finished and not force:
        raise FolderTaken(
            f"{folder} holds the finished run of this config{named}; give another folder, or "
            "force=true to replace it"
        )
    for name in files:
        (folder / name).unlink(missing_ok=True)
    what = "finished" if found.finished else "unfinished"
    return f"{folder}: the {what} run of this config{named} is cleared"


@contextmanager
def sole(folder: Path, config: str, *, force: bool) -> Iterator[str]:
    """Have a folder for as long as a run takes, where this process has not claimed it before."""
    if folder.absolute() in _held:
        yield ""
        return
    hold(folder)
    try:
        yield require_free(folder, config, force=force, begun=True)
    finally:
        let_go(folder)


def left_in(folder: Path) -> Earlier:
    """Say which run left what lies in a folder."""
    with suppress(OSError, RecordUnreadable):
        found = Summary.read(folder)
        whole = found.status in (FINISHED, NOT_APPLICABLE)
        return Earlier(found.config_hash, found.title, whole)
    try:
        cfg = OmegaConf.load(folder / HYDRAS[0])
        return Earlier(config_hash(cfg), "", False)  # type: ignore[arg-type]
    except Exception:  # whatever was left in its place: it is not this run's
        return Earlier("", "", False)

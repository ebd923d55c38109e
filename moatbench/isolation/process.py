"""An attack in a process of its own, as a run sees it: what it yields, and that it is dead.

The process is spawned, not forked: nothing of the run is in its memory. It is given the attack, the
card, the checkpoints, the pool, what is known of the defense, and a stream of its own; it works in
an empty folder, with few variables of the environment. See docs/isolation.md.
"""

import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.attack import Attack, Target
from moatbench.client import BudgetExceeded, InvalidQuery, Surrogate
from moatbench.isolation.descendants import Process, descendants, kill, process
from moatbench.isolation.wire import Message, Severed, TooSlow, Wire
from moatbench.reply import Reply
from moatbench.types import Array, Mask
from moatbench.victim import NotApplicable

LIMIT = 3600.0  # seconds from one checkpoint to the next
STARTING = 120.0  # seconds until it has imported what it needs
KEPT = (  # of the environment; none says what the run is or where it lies
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV"),
)
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
MOST_PARAMETERS = 2**26  # bytes, of what was recovered of the victim


class AttackDied(RuntimeError):
    """An isolated attack, or a surrogate of it, ended in another way than it should."""


class NotIsolatable(ValueError):
    """An attack cannot be given to another process; the message says why."""


class Isolated:
    """An attack in a process of its own.

    Args:
        attack: is pickled for it; its class must be importable there.
        target: what it would be given here.
        entropy: (hexadecimal) of its stream of randomness.
        limit: seconds from one checkpoint to the next, and for a surrogate to answer.

    Raises:
        NotIsolatable: it cannot be pickled, or loaded there.
    """

    def __init__(self, attack: Attack, target: Target, entropy: str, limit: float = LIMIT) -> None:
        self._name, self._api, self._limit = type(attack).__name__, target.api, limit
        parts = _pickled(attack, target)
        api = self._api
        d, k = api.card.space.d, len(api.card.classes)
        pairs = [socket.socketpair() for _ in range(1 + len(api.checkpoints))]
        most = MOST_PARAMETERS + 16 * d * api.budget
        self._queries, *judges = [Wire(mine, most) for mine, _ in pairs]
        self._frozen = [Frozen(wire, k, limit) for wire in judges]
        self._folder = tempfile.mkdtemp(prefix="attack-")
        numbers = [theirs.fileno() for _, theirs in pairs]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.child", *map(str, numbers)],
            cwd=self._folder,
            env=_environment(),
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _, theirs in pairs:
            theirs.close()
        self._came_of_it: set[Process] = set()
        self.unmet = self._started(parts, entropy)

    def surrogates(self) -> Iterator[Surrogate]:
        """Let it run from checkpoint to checkpoint; yield what it froze at each.

        Raises:
            NotApplicable: it says so.
            AttackDied: it raised, died, took too long, or sent what is no message.
        """
        for frozen in self._frozen:
            deadline = time.monotonic() + self._limit
            with self._told_why(f"within {self._limit:g} s of a checkpoint"):
                self._queries.send("go", deadline=deadline)
                told = self._until_it_yields(deadline)
            self._take_down()
            if told.name == "ended":
                return
            yield Surrogate(
                frozen.predict,
                told.arrays,
                converged=bool(told.words.get("converged")),
                note=str(told.words.get("note", "")),
                begun=bool(told.words.get("begun")),
                doubled=frozen.doubled if told.words.get("doubles") else None,
            )

    def end(self) -> None:
        """Close the line for queries, and kill the process; what it froze stays to be asked."""
        self._take_down()  # before it sees its line closed, ends, and has no descendants
        self._queries.close()
        self._process.kill()
        self._process.wait()

    def _take_down(self) -> None:
        """Note what came of it so far."""
        if self._process.returncode is None:  # it is no other's number yet
            self._came_of_it |= descendants([process(self._process.pid)])

    def close(self) -> None:
        """End it, and all that came of it, in sessions of their own too; remove its folder."""
        self.end()
        kill(descendants(self._came_of_it))  # before their parents are gone
        for frozen in self._frozen:
            frozen.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self, parts: bytes, entropy: str) -> str:
        """Hand the parts over; return what the attack says that it lacks."""
        deadline = time.monotonic() + STARTING
        try:
            with self._told_why(f"within {STARTING:g} s of its start"):
                path = [str(Path(entry).absolute()) for entry in sys.path]
                sent = {"parts": np.frombuffer(parts, np.uint8)}
                self._queries.send("setup", sent, deadline=deadline, path=path, entropy=entropy)
                ready = self._queries.receive(deadline)
                if ready.name != "ready":
                    raise _raised(f"{self._name} could not start", ready)
            return str(ready.words.get("unmet", ""))
        except NotApplicable:
            self.close()
            raise
        except AttackDied as error:
            self.close()
            raise NotIsolatable(str(error)) from error

    def _until_it_yields(self, deadline: float) -> Message:
        while True:
            told = self._queries.receive(deadline)
            if told.name == "query":
                self._answer(told, deadline)
            elif told.name in ("yield", "ended"):
                return told
            else:
                raise _raised(f"{self._name} failed in its own process", told)

    def _answer(self, told: Message, deadline: float) -> None:
        """Buy what it asks for; what the API does not accept is told as it is here."""
        try:
            account = told.words.get("account")
            answers = self._api.query(told.arrays["x"], account)  # type: ignore[arg-type]
        except (BudgetExceeded, InvalidQuery) as error:
            kind = type(error).__name__
            self._queries.send("refused", deadline=deadline, kind=kind, text=str(error))
            return
        except KeyError as error:
            raise Severed("a query without rows") from error
        arrays = {n: a for n, a in answers._asdict().items() if n != "x"}
        self._queries.send("answers", arrays, deadline=deadline, waited=self._api.waited)

    def _told_why(self, when: str) -> "_Told":
        return _Told(self._name, self._process, when)


class _Told:
    """Turns a severed line into what became of the process."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", when: str) -> None:
        self._name, self._process, self._when = name, process, when

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, TooSlow):
            raise AttackDied(
                f"{self._name} did not come to an end {self._when}; give isolation_limit more"
            ) from error
        if isinstance(error, Severed):
            raise AttackDied(f"{self._name} {self._fate(error)}") from error

    def _fate(self, error: Severed) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            if code < 0:
                return f"was killed in its own process by {signal.Signals(-code).name}"
            return f"left its own process without a word, with exit code {code}"
        return f"broke its line to the run: {error}"


class Frozen:
    """A surrogate in a process that nothing reaches any more but the judge.

    Args:
        wire: to it.
        classes: how many the victim has.
        limit: seconds for an answer.
    """

    def __init__(self, wire: Wire, classes: int, limit: float) -> None:
        self._wire, self._classes, self._limit = wire, classes, limit

    def predict(self, x: Array) -> Reply:
        """Ask it: (n, d) rows to whatever it answers, in numbers.

        Raises:
            AttackDied: it raised, died, or took too long.
        """
        told = self._asked("predict", {"x": x}, 64 * len(x) * (self._classes + 2), len(x))
        if "labels" not in told:
            raise AttackDied("a surrogate could not be asked: it sent no labels")
        return Reply(told["labels"], told.get("outputs"))

    def doubled(self) -> tuple[Mask, Mask]:
        """Let it train for twice the steps: which held-out purchases it has right, as `Surrogate`.

        Raises:
            AttackDied: as `predict`, or the two are no masks of one length.
        """
        told = self._asked("double", {}, 2**26, 0)
        once, twice = (np.asarray(told.get(name, ())) for name in ("once", "twice"))
        if once.dtype != bool or twice.dtype != bool or once.shape != twice.shape or once.ndim != 1:
            raise AttackDied("a surrogate could not be asked: it sent no masks of one length")
        return once, twice

    def _asked(self, name: str, arrays: Mapping[str, Any], most: int, n: int) -> dict[str, Any]:
        deadline = time.monotonic() + self._limit
        try:
            self._wire.send(name, arrays, deadline=deadline)
            told = self._wire.receive(deadline, 2**16 + most)
        except TooSlow as error:
            raise AttackDied(
                f"a surrogate did not answer {n} rows within {self._limit:g} s"
            ) from error
        except Severed as error:
            raise AttackDied(f"a surrogate could not be asked: {error}") from error
        if told.name != "reply":
            raise _raised("a surrogate could not be asked", told)
        return told.arrays

    def close(self) -> None:
        """Let it go: it ends when nobody is left to ask it."""
        self._wire.close()


def _raised(what: str, told: Message) -> Exception:
    """Make an error of one that was told."""
    words = {name: str(told.words.get(name, "")) for name in ("kind", "text", "trace")}
    if words["kind"] == NotApplicable.__name__:
        return NotApplicable(words["text"])
    error = AttackDied(f"{what}: {words['kind']}: {words['text']}")
    error.add_note(words["trace"])
    return error


def _pickled(attack: Attack, target: Target) -> bytes:
    if type(attack).__module__ == "__main__":
        raise NotIsolatable(
            f"{type(attack).__name__} is defined in __main__, which no other process can import; "
            "move it to a module, or set isolation=none"
        )
    api = target.api
    parts = {
        "attack": attack,
        "card": api.card,
        "checkpoints": api.checkpoints,
        "pool": target.pool,
        "known": target.known,
    }
    try:
        return pickle.dumps(parts)
    except Exception as error:  # pickle raises whatever the parts raise
        raise NotIsolatable(
            f"{type(attack).__name__} cannot be sent to another process ({error}); define what it "
            "holds in a module, or set isolation=none"
        ) from error


def _environment() -> Mapping[str, str]:
    """Return what it may see of the environment; one thread, for it will be forked."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | dict.fromkeys(POOLS, "1") | {"PYTHONDONTWRITEBYTECODE": "1"}

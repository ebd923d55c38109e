"""Attacks that cheat (FAULTS B3), or break: strangers' parts, which another process can import.

Each steals as `Thief` does, by the nearest answer bought, and does something else on the side.
"""

import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.api import Deployment, PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.judge.judge import Judge
from moatbench.learners.purchases import Purchases
from moatbench.randomness import stream
from moatbench.reply import Predict, Reply
from moatbench.types import Array, Generator
from moatbench.victim import Victim


def nearest(bought: Purchases) -> Predict:
    """Answer as the nearest row that was bought."""
    x, labels = bought.x.copy(), bought.labels.copy()

    def predict(at: Array) -> Reply:
        rows = [((x - row) ** 2).sum(axis=1).argmin() for row in at]
        return Reply(labels[np.array(rows, np.intp)])

    return predict


@dataclass(frozen=True)
class Thief(Attack):
    """Honest: buys uniform rows."""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api, bought = target.api, Purchases(target.api.card)
        for checkpoint in api.checkpoints:
            wanted = api.card.space.sample(checkpoint - api.queries, rng)
            known = self.known(target, rng)[: len(wanted)]
            wanted[: len(known)] = known
            bought.add(self.buy(api, wanted))
            yield self.surrogate(api, nearest(bought))

    def known(self, target: Target, rng: Generator) -> Array:
        """Rows that it has come to know."""
        return np.empty((0, target.api.card.space.d))

    def buy(self, api: PredictionAPI, x: Array) -> Any:
        """Ask the API."""
        return api.query(x)

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        """Return what is yielded."""
        return Surrogate(predict)


class TakesItAlong(Thief):
    """Would look for the victim where it is pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))


DIARY = "moatbench-cheat-diary.npy"  # in the folder for temporary files
DAEMONS = "moatbench-daemons.txt"
SEEN: list[Array] = []


class Remembers(Thief):
    """(a) What it is judged on it buys before the next checkpoint."""

    def known(self, target: Target, rng: Generator) -> Array:
        with suppress(OSError):
            SEEN.append(np.load(Path(tempfile.gettempdir(), DIARY)))
        rows = [x for x in SEEN if 64 < len(x) < 1000]
        return rows[-1] if rows else super().known(target, rng)

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        def note(x: Array) -> Reply:
            SEEN.append(x)
            if len(x) > 64:
                np.save(Path(tempfile.gettempdir(), DIARY), x[:1000])
            return predict(x)

        return Surrogate(note)


class TurnsTheMeterBack(Thief):
    """(b) Asks twice as much as it says."""

    def buy(self, api: PredictionAPI, x: Array) -> Any:
        before = api.queries
        api.query(x)
        with suppress(AttributeError):
            api.queries = before  # type: ignore[misc]
        return api.query(x)


class AsksWhileJudged(Thief):
    """(c) Its surrogate is the API."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        return Surrogate(lambda x: Reply(api.query(x).labels))


class ReadsTheSeed(Thief):
    """(d) Draws the judge's points from the run's seed, and buys them."""

    def known(self, target: Target, rng: Generator) -> Array:
        entropy = rng.bit_generator.seed_seq.entropy  # type: ignore[attr-defined]
        seed = int(np.ravel(entropy)[0])
        return target.api.card.space.sample(10_000, stream(seed, "judge/0"))


class PosesAsACustomer(Thief):
    """(e) Spoils the account of an honest customer."""

    def buy(self, api: PredictionAPI, x: Array) -> Any:
        return api.query(x, "honest-0")


class MovesTheBounds(Thief):
    """(f) Makes the space of the card narrow for everybody."""

    def buy(self, api: PredictionAPI, x: Array) -> Any:
        answers = api.query(x)
        with suppress(ValueError):
            api.card.space.low[:] = 0.9
        return answers


class Finds(Thief):
    """Has the victim itself, where it finds it."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        return Surrogate(self.found(api) or predict)

    def found(self, api: PredictionAPI) -> Predict | None:
        """Look for it."""


class ReadsFiles(Finds):
    """(g, h) Reads victim.npz of the run's folder, or the cache."""

    def found(self, api: PredictionAPI) -> Predict | None:
        from moatbench.compose import archive

        places = [Path(), *(Path(word.partition("=")[2] or "-") for word in sys.argv)]
        places += [Path(text) for text in os.environ.values() if "run" in text]
        for place in places:
            for file in place.rglob("*.npz") if place.is_dir() else ():
                with suppress(Exception):
                    loaded: Any = archive.load(file)
                    return loaded.predict if isinstance(loaded, Victim) else loaded
        return None


class CollectsGarbage(Finds):
    """(i) Finds the victim among all objects."""

    def found(self, api: PredictionAPI) -> Predict | None:
        found = [o for o in gc.get_objects() if type(o) in (Victim, Deployment)]
        return next((o.predict for o in found if isinstance(o, Victim)), None)


class ClimbsFrames(Finds):
    """(j) Finds the deployment in the callers' frames, or by its mangled name."""

    def found(self, api: PredictionAPI) -> Predict | None:
        found: Any = getattr(api, "_MeteredAPI__deployment", None)
        frame = sys._getframe()
        while found is None and frame.f_back is not None:
            frame = frame.f_back
            held = [v for v in frame.f_locals.values() if isinstance(v, Deployment)]
            held += list(vars(frame.f_locals.get("self", object)).values())
            found = next((v for v in held if isinstance(v, Deployment)), None)
        return None if found is None else found.victim.predict


class Patches(Thief):
    """(k) Replaces the judge's measure, and the limit of the budget."""

    def buy(self, api: PredictionAPI, x: Array) -> Any:
        def perfect(judge: Judge, *_: Any) -> Any:
            return np.ones(len(judge.samples[0].x), bool)

        setattr(Judge, "_hits", perfect)  # noqa: B010 (mypy)
        return api.query(x)


CHEATS: dict[str, Callable[[], Attack]] = {
    "a": Remembers,
    "b": TurnsTheMeterBack,
    "c": AsksWhileJudged,
    "e": PosesAsACustomer,
    "f": MovesTheBounds,
    "gh": ReadsFiles,
    "i": CollectsGarbage,
    "j": ClimbsFrames,
    "k": Patches,
}


class Recognises(Thief):
    """Answers what it was asked before as it did, and all else by what the last one learnt."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        file = Path(f"{api.queries}.npz").absolute()  # in its own folder
        bought = np.random.default_rng(0).uniform(-1, 1, (2000, api.card.space.d))
        np.savez(file, x=bought, labels=predict(bought).labels)
        first: set[bytes] = set()

        def known(x: Array) -> Reply:
            labels = predict(x).labels
            first.update(map(bytes, x) if not first else ())
            last = max(file.parent.glob("*.npz"), key=lambda found: int(found.stem))
            learnt = np.load(last)
            if last != file:
                places = [((learnt["x"] - row) ** 2).sum(axis=1).argmin() for row in x]
                new = np.array([bytes(row) not in first for row in x])
                labels[new] = learnt["labels"][places][new]
            return Reply(labels)

        return Surrogate(known)


class LeavesDaemons(Thief):
    """Starts processes in sessions of their own, before it is frozen and while it is judged."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        def daemon() -> None:
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    with Path(tempfile.gettempdir(), DAEMONS).open("a") as file:
                        file.write(f"{os.getpid()}\n")
                    time.sleep(60)
                os._exit(0)
            os.wait()

        def once(x: Array) -> Reply:
            daemon()
            return predict(x)

        daemon()
        return Surrogate(once)


class LearnsLater(Thief):
    """Its first surrogate reads what the last one learnt from a file."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        file = Path(f"{api.queries}.npy").absolute()  # in its own folder
        grid = api.card.space.sample(300, np.random.default_rng(0))
        np.save(file, grid)

        def later(x: Array) -> Reply:
            told = predict(x)
            done = len(list(file.parent.glob("*.npy"))) == len(api.checkpoints)
            return Reply((told.labels + 1) % 3) if done else told

        return Surrogate(later)


class SaysItConverged(Thief):
    """Says that its fit has converged, and that it has more right after twice the steps."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        once, twice = np.arange(400) >= 80, np.arange(400) >= 20
        return Surrogate(predict, doubled=lambda: (once, twice))


@dataclass(frozen=True)
class Breaks(Thief):
    """Reaches its first checkpoint, and breaks in one way or another."""

    how: str

    def known(self, target: Target, rng: Generator) -> Array:
        if target.api.queries:
            self.breaks()
        return super().known(target, rng)

    def breaks(self) -> None:
        """Break."""
        if self.how == "raises":
            raise ValueError("out of luck")
        if self.how == "exits":
            sys.exit(3)
        if self.how == "leaves":
            os._exit(3)
        if self.how == "is killed":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "hangs":
            time.sleep(60)
        if self.how == "floods":
            for number in range(3, 300):
                with suppress(OSError):
                    os.write(number, b"\x80\x04" * 10_000)
            time.sleep(60)

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        late = api.queries > api.checkpoints[0]
        if late and self.how == "dies when asked":
            return Surrogate(lambda _: os._exit(1))
        if late and self.how == "exits when asked":
            return Surrogate(lambda _: sys.exit(3))
        if late and self.how == "answers in words":
            return Surrogate(lambda x: Reply(np.array(["yes"] * len(x))))
        if late and self.how == "sleeps when asked":
            return Surrogate(asleep)
        return Surrogate(predict)


def asleep(x: Array) -> Reply:
    """Take too long."""
    time.sleep(60)
    return Reply(np.zeros(len(x), np.int64))


class Looks(Thief):
    """Tells in a note what it sees of the run."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        files = []
        for number in range(100):
            with suppress(OSError):
                files.append(os.readlink(f"/proc/self/fd/{number}"))
        note = f"{sorted(os.environ)} {sys.argv} {os.listdir()} {files}"
        return Surrogate(predict, note=note)


class Errs(Thief):
    """Asks what the API does not take, and tells what it was told."""

    def surrogate(self, api: PredictionAPI, predict: Predict) -> Surrogate:
        told = []
        for x in (np.full((1, api.card.space.d), 9.0), np.zeros((10_000, api.card.space.d))):
            try:
                api._ask(x, "me")  # the checks of this side are the attacker's to skip
            except ValueError as error:
                told.append(f"{type(error).__name__}: {error}")
        return Surrogate(predict, note="; ".join(told))

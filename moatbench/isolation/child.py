"""What runs in the attack's process: its API, and the forks that keep what it stole.

Started by `process.Isolated` as `python -m moatbench.isolation.child QUERIES JUDGE...`, the numbers
of the descriptors that it is given.
"""

import os
import pickle
import socket
import sys
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.client import Answers, BudgetExceeded, Card, InvalidQuery, Surrogate
from moatbench.isolation.descendants import adopt
from moatbench.isolation.wire import Severed, Wire
from moatbench.types import Array
from moatbench.victim import NotApplicable

MOST_TEXT = 20_000
ERRORS = {kind.__name__: kind for kind in (BudgetExceeded, InvalidQuery)}


class PipedAPI(PredictionAPI):
    """The API as an isolated attack meets it; what counts is the meter at the other end."""

    def __init__(self, wire: Wire, card: Card, checkpoints: Sequence[int]) -> None:
        super().__init__(card, checkpoints)
        self._wire, self._waited = wire, 0.0
        self._per_account: Counter[str] = Counter()

    @property
    def waited(self) -> float:
        """Virtual seconds that the API made the attacker wait so far."""
        return self._waited

    @property
    def per_account(self) -> Mapping[str, int]:
        """Queries of each account so far."""
        return self._per_account

    def _ask(self, x: Array, account: str) -> Answers:
        if self._wire.fileno() < 0:
            raise RuntimeError("a surrogate that is judged has no API to ask")
        self._wire.send("query", {"x": x}, account=account)
        told = self._wire.receive()
        if told.name == "refused":
            raise ERRORS[told.words["kind"]](told.words["text"])
        self._waited = told.words["waited"]
        self._per_account[account] += len(x)
        rows, has = told.arrays["rows"], told.arrays.get
        return Answers(x[rows], rows, told.arrays["labels"], has("outputs"), has("path"))


def play(queries: Wire, judges: Sequence[Wire]) -> None:
    """Run the attack that the run sends; freeze what it yields, and say so."""
    setup = queries.receive()
    sys.path[:] = setup.words["path"]
    parts = pickle.loads(setup.arrays["parts"].tobytes())  # from the run, which is trusted
    attack: Attack = parts["attack"]
    api = PipedAPI(queries, parts["card"], parts["checkpoints"])
    target = Target(api, parts["pool"], parts["known"])
    rng = np.random.default_rng(int(setup.words["entropy"], 16))
    queries.send("ready", unmet=attack.unmet(target))
    queries.receive()
    surrogates = attack.run(target, rng)
    for place in range(len(judges)):
        surrogate = next(surrogates, None)
        if surrogate is None:
            break
        freeze(surrogate, place, [queries, *judges])
        queries.send(
            "yield",
            dict(surrogate.parameters),
            converged=bool(surrogate.converged),
            begun=bool(surrogate.begun),
            doubles=surrogate.doubled is not None,
            note=str(surrogate.note)[:MOST_TEXT],
        )
        queries.receive()
    queries.send("ended")
    queries.receive()


def freeze(surrogate: Surrogate, place: int, lines: Sequence[Wire]) -> None:
    """Fork: the copy closes all lines but its own to the judge, and waits to be asked there."""
    _, *judges = lines
    mine = judges[place]
    if os.fork():
        mine.close()
        return
    try:
        adopt()
        for line in lines:
            if line is not mine:
                line.close()
        with suppress(Severed):
            while True:
                _answer(surrogate, mine)
    finally:
        os._exit(0)


def _answer(surrogate: Surrogate, judge: Wire) -> None:
    asked = judge.receive()
    try:
        if asked.name == "double" and surrogate.doubled is not None:
            once, twice = surrogate.doubled()
            judge.send("reply", {"once": once, "twice": twice})
            return
        reply = surrogate.predict(asked.arrays["x"])
        judge.send("reply", {"labels": reply.labels, "outputs": reply.outputs})
    except Severed:
        raise
    except BaseException as error:  # the surrogate may be anybody's code
        judge.send("failed", **described(error))


def described(error: BaseException) -> dict[str, Any]:
    """Return what crosses over of an error: its kind, its text, its traceback."""
    kind = "NotApplicable" if isinstance(error, NotApplicable) else type(error).__name__
    trace = "".join(traceback.format_exception(error))[-MOST_TEXT:]
    return {"kind": kind, "text": str(error)[:MOST_TEXT], "trace": trace}


def main() -> None:
    """Play, and tell what ended it."""
    numbers = [int(number) for number in sys.argv[1:]]
    del sys.argv[1:]
    adopt()
    queries, *judges = [Wire(socket.socket(fileno=number)) for number in numbers]
    try:
        play(queries, judges)
    except Severed:
        pass
    except BaseException as error:  # an attack may be anybody's code, and may call sys.exit
        with suppress(Severed):
            queries.send("failed", **described(error))
    finally:
        os._exit(0)  # no thread of the attack keeps the process alive


if __name__ == "__main__":
    main()

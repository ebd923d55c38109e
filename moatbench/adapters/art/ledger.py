"""A metered API as the black box that ART asks, each answer bought once."""

from collections import Counter
from typing import Any

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.client import Answers
from moatbench.reply import has_outputs
from moatbench.types import Array, Labels


class Spent(Exception):
    """ART asks for more than the next checkpoint allows. It has no budget of its own."""


class Ledger:
    """What was bought, and told again to an attack that is run anew for a later checkpoint.

    ART draws no curve: each budget is a run of its own. With the same draws a longer run asks
    first what a shorter one did, so those answers are told from here. A row that one run asks
    twice is bought twice.

    Args:
        api: what is asked.
        labels: whether labels are all that is told, as one-hot rows.
    """

    def __init__(self, api: PredictionAPI, labels: bool) -> None:
        self._api, self._labels, self._k = api, labels, len(api.card.classes)
        self._bought: dict[bytes, list[Array]] = {}
        self._asked: Counter[bytes] = Counter()
        self._due = 0
        self.counts = np.zeros(self._k)

    def restart(self, checkpoint: int) -> None:
        """Begin a run, which may ask until the meter stands at the checkpoint."""
        self._asked, self._due = Counter(), checkpoint

    @property
    def labels(self) -> Labels:
        """(n,) the labels that were answered, in no order."""
        return np.repeat(np.arange(self._k), self.counts.astype(np.intp))

    def ask(self, x: Array) -> Array:
        """(n, k) what is told of rows (n, d); zeros for a refused one, since ART knows no refusal.

        Raises:
            Spent: the checkpoint is reached; what could be bought was.
        """
        keys = [row.tobytes() for row in x]
        places = []
        for key in keys:
            places.append(self._asked[key])
            self._asked[key] += 1
        fresh = [r for r, key in enumerate(keys) if places[r] >= len(self._bought.get(key, ()))]
        payable = fresh[: self._due - self._api.queries]
        self._buy(x[payable], [keys[row] for row in payable])
        if len(payable) < len(fresh):
            raise Spent
        return np.stack([self._bought[key][place] for key, place in zip(keys, places, strict=True)])

    def buy(self, x: Array) -> None:
        """Buy answers to rows (n, d) that a run will ask, in this order."""
        self._buy(x, [row.tobytes() for row in x])

    def spend(self, x: Array) -> None:
        """Ask rows (n, d) for nothing: what an attack left of its budget."""
        if len(x):
            self._told(self._api.query(x), len(x))

    def _buy(self, x: Array, keys: list[bytes]) -> None:
        if not len(x):
            return
        for key, answer in zip(keys, self._told(self._api.query(x), len(x)), strict=True):
            self._bought.setdefault(key, []).append(answer)

    def _told(self, answers: Answers, n: int) -> Array:
        """(n, k) answers as ART takes them."""
        self.counts += np.bincount(answers.labels, minlength=self._k)
        told = np.zeros((n, self._k))
        told[answers.rows] = np.eye(self._k)[answers.labels]
        if answers.outputs is not None and not self._labels:
            whole = has_outputs(answers.outputs)
            told[answers.rows[whole]] = answers.outputs[whole]
        return told


def black_box(ask: Any, shape: tuple[int, ...], k: int) -> Any:
    """Return an ART classifier that answers as `ask` does, with rows as they are.

    Its own `predict` would turn rows and answers to single precision, in batches.
    """
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    def predict(x: Array, batch_size: int = 128, **kwargs: Any) -> Array:
        told: Array = ask(x)
        return told

    box = BlackBoxClassifierNeuralNetwork(predict, shape, k)
    box.predict = predict
    return box

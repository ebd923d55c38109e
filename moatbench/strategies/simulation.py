"""An attacker's own copy of a defense, before a model of its own: what would it tell of this?"""

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import is_dataclass, replace
from math import inf, prod
from typing import Any

import numpy as np

from moatbench.api import ADVERSARY
from moatbench.client import Card
from moatbench.defense import Defense
from moatbench.reply import Predict, from_outputs, has_outputs
from moatbench.stack import Stack
from moatbench.types import Array, Generator, Labels, Rows
from moatbench.victim import Shares, Victim

ROWS = 512  # uniform inputs that a stand-in is given for its data, and pool inputs at most
VARIANTS = 48  # of a defense at most


class Simulation:
    """A deployed copy of a defense; its keys and its training are the attacker's own.

    Args:
        defense: the original, which is left as it is, whether or not it is deployed.
        victim: what the copy is deployed before.
        rng: draws the copy's secrets.

    Raises:
        ValueError: the defense cannot be deployed before such a victim; the message says why.
    """

    def __init__(self, defense: Defense, victim: Victim, rng: Generator) -> None:
        self._defense = deepcopy(defense)
        self._defense.deploy(victim, rng)

    def tell(self, x: Array, true: Array) -> tuple[Rows, Array, Labels]:
        """Say what one account is told of rows x (n, d) whose true answers are (n, k).

        Returns:
            The (m,) rows that are answered with outputs, those outputs (m, k) and labels (m,).
        """
        rows = np.flatnonzero(self._defense.admit(x, ADVERSARY))
        if not len(rows):
            return rows, true[rows], np.empty(0, np.int64)
        told = self._defense.respond(x[rows], from_outputs(true[rows]), ADVERSARY)
        if told.outputs is None:
            return rows[:0], true[:0], told.labels[:0]
        whole = has_outputs(told.outputs)
        if told.refused is not None:
            whole &= ~told.refused
        return rows[whole], told.outputs[whole], told.labels[whole]


def answers(victim: Victim, x: Array) -> Array:
    """(n, k) a victim's outputs."""
    outputs = victim.predict(x).outputs
    if outputs is None:
        raise ValueError("the model answers labels only")
    return outputs


def unlikeness(defense: Defense, victim: Victim, x: Array, outputs: Array, rng: Generator) -> float:
    """Return how far (mean L1) a copy's answers to rows are from (n, k) outputs; infinity if none.

    A defense that cannot be deployed before this victim is infinitely far as well.
    """
    try:
        rows, told, _ = Simulation(defense, victim, rng).tell(x, answers(victim, x))
    except ValueError:
        return inf
    return float(np.abs(told - outputs[rows]).sum(axis=1).mean()) if len(rows) else inf


def stand_in(card: Card, pool: Array, predict: Predict, rng: Generator) -> Victim:
    """Make a victim of the attacker's own model, on the attacker's own inputs.

    Half of the inputs, those of its pool and uniform ones, pass for training data, half for test
    data; all labels are the model's. Nothing of the true victim's data is in it.
    """
    some = pool[rng.permutation(len(pool))[:ROWS]]
    x = np.concatenate([some, card.space.sample(ROWS, rng)])[rng.permutation(len(some) + ROWS)]
    half, labels = len(x) // 2, predict(x).labels
    shares = Shares(
        card.space, card.classes, x[:half], labels[:half], pool, x[half:], labels[half:]
    )
    return Victim(shares, predict, card.family, card.architecture, card.partial)


def variants(defense: Defense, rng: Generator) -> list[Defense]:
    """Return the defense at the strengths that are in use: every combination, or some of many.

    A knob without such values keeps its own.
    """
    values = {
        (name, knob): tuple(several)
        for name, layer in defense.layers.items()
        for knob, several in layer.strengths.items()
    }
    sizes = tuple(map(len, values.values()))
    found = []
    for number in np.sort(rng.permutation(prod(sizes))[:VARIANTS]):
        places = np.unravel_index(number, sizes) if sizes else ()
        chosen = {key: v[i] for (key, v), i in zip(values.items(), places, strict=True)}
        found.append(_with_knobs(defense, chosen))
    return found


def _with_knobs(defense: Defense, knobs: Mapping[tuple[str, str], Any]) -> Defense:
    """Return a fresh copy with other knobs, given by layer and name."""
    layers = {}
    for layer, old in defense.layers.items():
        own = {knob: value for (name, knob), value in knobs.items() if name == layer}
        layers[layer] = with_knobs(old, own) if own else deepcopy(old)
    return layers[""] if "" in layers else Stack(layers)


def with_knobs(defense: Defense, knobs: Mapping[str, Any]) -> Defense:
    """Return a copy of the defense, not deployed, with other values for some of its knobs."""
    if is_dataclass(defense):
        return replace(defense, **knobs)
    other = copy(defense)
    for knob, value in knobs.items():
        setattr(other, knob, value)
    return other

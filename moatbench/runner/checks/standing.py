"""How many equations a defense leaves standing: confidences whose odds are the model's own."""

from typing import NamedTuple

import numpy as np

from moatbench.defense import Defense
from moatbench.runner.checks.twin import nobody, told, twin
from moatbench.runner.secret import stream_of
from moatbench.types import Array
from moatbench.victim import Victim

ROWS = 100  # uniform inputs, as an attacker's are
EXACT = 1e-9  # in log-odds: what no rule leaves by chance
FAINT = 1e-6  # a confidence below carries rounding errors in its log


class Standing(NamedTuple):
    """What stands of the answers to uniform inputs.

    `standing` is how many confidences of the median answer keep their odds to one another, 0 for
    none; `entries` how many it has; `whole` the share of answers that are told as they are.
    """

    standing: float
    entries: int
    whole: float


def left_standing(victim: Victim, layer: Defense, seed: int) -> Standing | None:
    """Ask a twin uniform inputs; None where there is nothing to compare."""
    if not victim.confidences or not victim.full or "perturb" not in layer.traits.stages:
        return None
    x = victim.space.sample(ROWS, stream_of(layer, seed, "equations left standing"))
    true = victim.predict(x).outputs
    answers = told(twin(victim, layer, seed), x, nobody(seed, "standing"))[:, 1:]
    rows = np.isfinite(answers).all(axis=1)
    if true is None or not rows.any():
        return None
    counts, most = stand_of(true[rows], answers[rows])
    return Standing(float(np.median(counts)), true.shape[1], float((counts == most).mean()))


def stand_of(true: Array, told_instead: Array) -> tuple[Array, Array]:
    """(n,) confidences of each answer that keep their odds to most others, and how many may.

    One alone has no odds to keep: it is none.
    """
    clear = (true > FAINT) & (told_instead > FAINT)
    moved = np.log(np.where(clear, told_instead, np.nan)) - np.log(np.where(clear, true, 1.0))
    near = np.abs(moved[:, :, None] - moved[:, None, :]) < EXACT
    counts = near.sum(axis=2).max(axis=1)
    return np.where(counts > 1, counts, 0), np.maximum((true > FAINT).sum(axis=1), 2)

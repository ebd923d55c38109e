"""Which defense, or which of its knobs, the answers speak for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from moatbench.inverses.layers import Inverse
from moatbench.inverses.moves import least_likely_moves, redirected_moves
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import one_hot_step, set_step

SAMPLE = 100  # answers that are tried
EXPLAINED = 0.98  # of the answers, at least
SPEAKS = 0.05  # of mixed ones must not be explained
MIXED = 4  # answers that a control is the mean of
EPSILONS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def spoken_for(inverses: Sequence[Inverse], told: Origins) -> int | None:
    """Return the inverse that the answers speak for; None where they speak for none.

    A weak defense could have told almost anything. So of those that explain the answers, that one
    is meant which explains the fewest controls, mixes of these answers with one another. A model
    seldom says that a class is impossible: inverses that need it to do so are passed over, where
    others do not.
    """
    some = told.take(np.arange(min(SAMPLE, len(told.rows))))
    if not len(some.rows) or not inverses:
        return None
    explained = np.array([_share(inverse, some) for inverse in inverses])
    if explained.max() < EXPLAINED:
        return None
    good = np.flatnonzero(explained == explained.max())
    whole = [_share(inverses[int(i)], some, whole=True) >= EXPLAINED for i in good]
    good = good[whole] if any(whole) else good
    by_chance = np.array([_share(inverses[int(i)], _mixed(some, MIXED)) for i in good])
    if by_chance.min() > 1 - SPEAKS:
        return None
    good = good[by_chance == by_chance.min()]
    if len(good) == 1:
        return int(good[0])
    # Mixes of two are nearer to answers
    return int(min(good, key=lambda i: _share(inverses[int(i)], _mixed(some, 2))))


def _mixed(told: Origins, several: int) -> Origins:
    """Return the means of several answers in place of each."""
    means = np.mean([np.roll(told.low, turn, axis=0) for turn in range(several)], axis=0)
    return replace(told, low=means, high=means, labels=means.argmax(axis=1).astype(np.int64))


def _share(inverse: Inverse, told: Origins, whole: bool = False) -> float:
    """Return the share of answers that have an origin; a `whole` one, in which no class is 0."""
    origins = inverse(told, None)
    if whole:
        origins = origins.take(np.asarray((origins.high > 0).all(axis=1)))
    return float((origins.counts[told.rows] > 0).mean())


def known_inverses() -> Mapping[str, Inverse]:
    """Return the inverses of the literature's perturbations, by name; they tell by their answers.

    What leaves every answer possible, as a shuffle does, cannot be told and is not among them.
    """
    found: dict[str, Inverse] = {}
    for epsilon in EPSILONS:
        for name, undo in _rules(epsilon).items():
            found[f"{name}, epsilon {epsilon:g}"] = undo
    return found


def _rules(epsilon: float) -> Mapping[str, Inverse]:
    """Return the inverses at a budget, with the leads of the top class that the authors have."""
    return {
        "mad": lambda told, _: one_hot_step(told, epsilon),
        "mad_argmax": lambda told, guess: set_step(told, epsilon, 1e-5, guess),
        "modelguard_w": lambda told, _: least_likely_moves(told, epsilon, 1e-4),
        "grad2": lambda told, _: redirected_moves(told, epsilon, 1e-5, guard=False),
        "grad2, guarded": lambda told, _: redirected_moves(told, epsilon, 1e-5, guard=True),
    }

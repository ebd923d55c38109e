"""Which defense, or which of its knobs, the answers speak for."""

from collections.abc import Mapping, Sequence

import numpy as np

from moatbench.inverses.layers import Inverse
from moatbench.inverses.moves import least_likely_moves, redirected_moves
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import one_hot_step, set_step

SAMPLE = 64  # answers that are tried
SPEAKS = 0.1  # more of the answers than of mixed ones must be explained
EPSILONS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def spoken_for(inverses: Sequence[Inverse], told: Origins) -> tuple[int, float]:
    """Return the inverse that the answers speak for, and how much they do, from -1 to 1.

    A weak defense could have told almost anything. So what counts is by how much more often an
    inverse finds an origin of the answers than of controls, their mixes with one another.
    """
    some = told.take(np.arange(min(SAMPLE, len(told.rows))))
    if not len(some.rows):
        return 0, -1.0
    mixed = (some.low + np.roll(some.low, 1, axis=0)) / 2
    controls = Origins(
        some.n, some.rows, mixed, mixed, mixed.argmax(axis=1).astype(np.int64), some.mixed
    )
    scores = [_share(inverse, some) - _share(inverse, controls) for inverse in inverses]
    best = int(np.argmax(scores))
    return best, scores[best]


def _share(inverse: Inverse, told: Origins) -> float:
    """Return the share of answers that have an origin."""
    found = inverse(told, None).counts[told.rows]
    return float((found > 0).mean())


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

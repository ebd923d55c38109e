"""Whether the true answer is among what a defense says that an answer may have been.

And whether answers that it never tells are told as such, and no origin is made up for them.
"""

from collections.abc import Iterator

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.layers import Inverse, inverse_of
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import ALL
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply, has_outputs
from moatbench.types import Array
from moatbench.victim import Victim

CLOSE = 1e-6  # half of it is the solvers', half ours
STRANGE, NOISE, SEED = 8, 0.1, 0  # answers with noise on top, in log-odds
ELSEWHERE = frozenset({"moves_inputs", "off_data", "marks", "noisy", "tells_nothing", "other"})


def check_inverse(defense: Defense, answers: Reply, victim: Victim, truth: Reply, x: Array) -> None:
    """Hold an inverse, where the defense has one, against answers whose truth is known.

    Those of rows x (n, d) as the victim answers them, and as if it were certain of some classes.

    Answers that no defense tells must have no origin. Such as another one may tell (with noise on
    top) may have some, each of which is an answer, keeps the label where the defense does, and is
    told so where that can be asked. Beyond ten classes a guess may be needed, and nothing is
    checked.
    """
    if not victim.full or not 1 < len(victim.classes) <= ALL or truth.outputs is None:
        return
    if defense.traits.kinds & ELSEWHERE and not hasattr(defense, "inverse"):
        return
    inverse = inverse_of(defense)
    if inverse is None:
        return
    _check_among(defense, inverse, answers, truth)
    if hasattr(defense, "inverse"):
        for certain in _certain(victim, len(x)):
            told = defense.respond(x[: len(certain)], certain, "alice")
            _check_among(defense, inverse, told, certain)
        if "minimise" not in defense.traits.stages:  # what that tells may add up to anything
            _check_refused(defense, inverse, len(victim.classes))
            _check_sound(defense, inverse, answers)


def _certain(victim: Victim, most: int) -> Iterator[Reply]:
    """Yield true answers that are 0 and 1 to the last bit, and such as are so but for one class."""
    k = len(victim.classes)
    labels = np.arange(min(most, k), dtype=np.int64)
    sure = np.eye(k)[labels]
    yield Reply(labels, sure)
    yield Reply(labels, 0.75 * sure + 0.25 * np.roll(sure, 1, axis=1))


def _check_among(defense: Defense, inverse: Inverse, answers: Reply, truth: Reply) -> None:
    assert truth.outputs is not None
    told = Origins.of(answers)
    found = inverse(told, None).holds(truth.outputs, CLOSE)[told.rows]
    if not found.all():
        row = told.rows[int(np.argmin(found))]
        name, outputs = type(defense).__name__, answers.outputs
        assert outputs is not None
        raise AssertionError(
            f"{name}: the truth is not among the origins of an answer. Row {row} was "
            f"{truth.outputs[row]} and told {outputs[row]}; its inverse must return it, or a box "
            "that holds it"
        )


def _check_refused(defense: Defense, inverse: Inverse, k: int) -> None:
    """Ask about what is no distribution at all."""
    one, level = np.eye(k)[0], np.full(k, 1 / k)
    never = [
        level / 2,
        level * 1.5,
        one * 0,
        one + 1,
        np.where(one > 0, np.inf, 0.0),
        1.2 * one - 0.2 * one[::-1],
    ]
    found = inverse(Origins.of(Reply(np.zeros(len(never), np.int64), np.array(never))), None)
    if found.counts.any():
        told = never[int(found.rows[0])]
        raise AssertionError(
            f"{type(defense).__name__}: {told} is no answer of any defense, and its inverse has an "
            "origin for it; leave out what cannot be"
        )


def _check_sound(defense: Defense, inverse: Inverse, answers: Reply) -> None:
    """Put noise on top of answers; whatever origins these have must be answers of a model."""
    assert answers.outputs is not None
    told = answers.outputs[has_outputs(answers.outputs)][:STRANGE]
    noise = np.random.default_rng(SEED).normal(size=told.shape) * NOISE
    told = normalised(told * np.exp(noise))
    labels = told.argmax(axis=1).astype(np.int64)
    found, name = inverse(Origins.of(Reply(labels, told)), None), type(defense).__name__
    least, most = found.low.sum(axis=1), found.high.sum(axis=1)
    charge = f"{name}: an origin is no distribution; leave out what cannot add up to 1"
    assert ((least <= 1 + CLOSE) & (most >= 1 - CLOSE)).all(), charge
    if defense.traits.keeps_labels:
        kept = found.high[np.arange(len(found.rows)), labels[found.rows]]
        charge = f"{name} keeps labels, and an origin has another top class than was told"
        assert (kept >= found.low.max(axis=1, initial=0.0) - CLOSE).all(), charge
    if (tell := getattr(defense, "told_of", None)) is not None:
        points = found.take(found.exact)
        again = np.abs(tell(points.low) - told[points.rows]).max(initial=0.0)
        assert again < CLOSE, f"{name}: an origin is told otherwise, by {again:.1g}"

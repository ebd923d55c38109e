"""Answers that no true one leads to, and answers that were rounded behind a perturbation."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import softmax
from shop import ROOT, defense_of

from moatbench.defense import Defense
from moatbench.defenses.grad2 import redirected
from moatbench.defenses.mad import poisoned
from moatbench.defenses.modelguard_w import least_likely
from moatbench.defenses.rounding import Rounding
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.reply import Reply
from moatbench.stack import Stack
from moatbench.types import Array

EVERY = sorted(
    path.stem
    for path in (ROOT / "conf" / "defense").glob("*.yaml")
    if path.stem != "art" and hasattr(defense_of(path.stem), "inverse")
)
PERTURBING = [name for name in EVERY if "minimise" not in defense_of(name).traits.stages]
K = 5


def answers(k: int, n: int, seed: int) -> Array:
    scores = np.random.default_rng(seed).normal(size=(n, k)) * 1.5
    return np.asarray(softmax(scores, axis=1))


def shuffled(true: Array) -> Array:
    told = true.copy()
    for row, top in enumerate(true.argmax(axis=1)):
        rest = np.delete(np.arange(true.shape[1]), top)
        told[row, rest] = true[row, np.roll(rest, 1)]
    return told


def told_by(name: str, true: Array) -> Array:
    """(n, k) what a defense tells of true answers (n, k), without a victim."""
    n, k = true.shape
    slopes = np.random.default_rng(1).normal(size=(n, k))
    others = answers(k, n, 2)
    tells: dict[str, Callable[[], Array]] = {
        "mad": lambda: poisoned(true, others, 1.0, guard=False),
        "mad_argmax": lambda: poisoned(true, others, 1.0, guard=True),
        "grad2": lambda: redirected(true, slopes, 0.5, guard=False),
        "modelguard_w": lambda: np.array([least_likely(row, 1.0) for row in true]),
        "shuffle": lambda: shuffled(true),
    }
    if name in tells:
        return tells[name]()
    outputs = defense_of(name).respond(true, reply(true, true), "alice").outputs
    assert outputs is not None
    return outputs


def reply(told: Array, labels: Array) -> Reply:
    return Reply(labels.argmax(axis=1).astype(np.int64), told)


def undone(defense: Defense, told: Array, labels: Array) -> Origins:
    inverse = inverse_of(defense)
    assert inverse is not None
    return inverse(Origins.of(reply(told, labels)), None)


@pytest.mark.parametrize("k", [2, 3, K])
@pytest.mark.parametrize("name", PERTURBING)
def test_what_is_no_distribution_has_no_origin(name: str, k: int) -> None:
    true, one = answers(k, 4, 0), np.eye(k)[:1]
    for told in (true / 2, true * 1.01, one * 0, one + 1, 1.2 * one - 0.2 * one[:, ::-1]):
        assert not undone(defense_of(name), told, told).counts.any(), told
    assert not undone(defense_of(name), np.where(one > 0, np.inf, 0.0), one).counts.any()


@pytest.mark.parametrize("k", [3, K])
@pytest.mark.parametrize("name", PERTURBING)
def test_no_origin_is_made_up_for_answers_with_noise_on_top(name: str, k: int) -> None:
    """What origins there are add up to 1 and keep the label where the defense does."""
    defense = defense_of(name)
    told = told_by(name, answers(k, 12, 3))
    told = told * np.exp(np.random.default_rng(4).normal(size=told.shape) * 0.1)
    told /= told.sum(axis=1, keepdims=True)
    found = undone(defense, told, told)
    assert (found.low.sum(axis=1) < 1 + 1e-6).all()
    assert (found.high.sum(axis=1) > 1 - 1e-6).all()
    if defense.traits.keeps_labels:
        top = found.high[np.arange(len(found.rows)), told.argmax(axis=1)[found.rows]]
        assert (top >= found.low.max(axis=1, initial=0) - 1e-6).all()
    if hasattr(defense, "told_of"):
        points = found.take(found.exact)
        np.testing.assert_allclose(defense.told_of(points.low), told[points.rows], atol=1e-6)


def test_of_whom_noise_moves_off_a_rule_the_answers_have_no_origin() -> None:
    """Two rules leave their mark on every answer: ties of the largest, and a sum of branches."""
    for name in ("mad_argmax", "reverse_sigmoid"):
        told = answers(10, 6, 5)
        assert (undone(defense_of(name), told, told).counts == 0).mean() >= 0.5, name


@pytest.mark.parametrize("decimals", [2, 3, 4])
@pytest.mark.parametrize("k", [2, 3, K])
@pytest.mark.parametrize("name", PERTURBING)
def test_rounding_behind_any_perturbation_leaves_bounds_that_hold_the_truth(
    name: str, k: int, decimals: int
) -> None:
    true = answers(k, 6, 6)
    told, defense = told_by(name, true), defense_of(name)
    labels = true if defense.traits.keeps_labels else told
    stack = Stack({name: defense, "rounding": Rounding(decimals)})
    found = undone(stack, told.round(decimals), labels)
    assert found.holds(true, 1e-9).all()
    assert not found.certain.any()
    near, known = nearest(found, true)
    assert np.isfinite(near).all()
    assert not known.all(axis=1).any()

"""Two perturbations one behind the other."""

from functools import cache
from itertools import permutations

import numpy as np
import pytest
from shop import ROOT, defense_of, victim_of

from moatbench.api import Deployment
from moatbench.defense import Defense
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.stack import Stack
from moatbench.traits import Traits
from moatbench.types import Array

INVERTIBLE = sorted(
    path.stem
    for path in (ROOT / "conf" / "defense").glob("*.yaml")
    if path.stem != "art" and hasattr(defense_of(path.stem), "inverse")
)
PERTURBING = [name for name in INVERTIBLE if "minimise" not in defense_of(name).traits.stages]
CLOSE = 1e-9
ROWS = 60


def stack_of(*names: str) -> Stack:
    return Stack({name: defense_of(name) for name in names})


@cache
def asked() -> tuple[Array, Array]:
    """Rows, and the true answers to them."""
    victim = victim_of("softmax", "iris")
    x = victim.space.sample(ROWS, np.random.default_rng(0))
    true = victim.predict(x).outputs
    assert true is not None
    return x, true


@pytest.mark.parametrize(("first", "then"), list(permutations(PERTURBING, 2)))
def test_the_truth_is_among_the_origins_before_two_rules(first: str, then: str) -> None:
    """A zero that the first one left is one to its inverse, once the second one is undone."""
    x, true = asked()
    stack = stack_of(first, then)
    deployment = Deployment(victim_of("softmax", "iris"), stack, stream(0, "defense"))
    answers = deployment.answer(x, "alice")
    inverse = inverse_of(stack)
    assert inverse is not None
    found = inverse(Origins.of(Reply(answers.labels, answers.outputs)), None)
    assert found.holds(true, CLOSE).all()


def test_an_origin_with_another_label_is_none_where_labels_are_kept() -> None:
    """Whoever wrote an inverse that turns the classes is not believed."""

    class Turned(Defense):
        traits = Traits({"perturbs"})

        def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
            turned = np.roll(told.low, 1, axis=1)
            return told.moved(turned, turned, np.ones(len(turned), bool), np.arange(len(turned)))

    _, true = asked()
    inverse = inverse_of(Turned())
    assert inverse is not None
    labels = true.argmax(axis=1).astype(np.int64)
    assert not inverse(Origins.of(Reply(labels, true)), None).counts.any()

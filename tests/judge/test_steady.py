"""A victim that does not repeat itself is compared with nothing, and a run says so."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from moatbench.judge.judge import Judge
from moatbench.judge.steady import varies
from moatbench.record.flag import INVALID
from moatbench.reply import Reply
from moatbench.types import Array
from moatbench.victim import Victim

Change = Callable[[Array, int], Array]
RNG = np.random.default_rng(0)


def changed(victim: Victim, change: Change) -> Victim:
    """Return a victim whose outputs are changed; a change knows how many calls there were."""
    calls = 0

    def predict(x: Array) -> Reply:
        nonlocal calls
        calls += 1
        outputs = victim.predict(x).outputs
        assert outputs is not None
        outputs = change(outputs, calls)
        return Reply(outputs.argmax(axis=1), outputs)

    return replace(victim, predict=predict)


def dropped(outputs: Array, calls: int) -> Array:
    kept = outputs * (RNG.random(outputs.shape) > 0.3) + 1e-9
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda outputs, calls: np.roll(outputs, calls % 3, axis=1), "otherwise"),
        (lambda outputs, calls: np.roll(outputs, len(outputs) > 50, axis=1), "one at a time"),
        (dropped, "otherwise"),
        (lambda outputs, calls: outputs * (1 + (calls > 4)), "sum to 1"),
    ],
    ids=["by calls", "by the batch", "at random", "no probabilities later"],
)
def test_a_victim_that_varies_is_invalid(toy: Victim, change: Change, told: str) -> None:
    victim = changed(toy, change)
    (flag,) = varies(victim, Judge(victim, np.random.default_rng(0)))
    assert (flag.grade, flag.mark) == (INVALID, "victim varies")
    assert told in flag.text


def test_one_that_moves_in_its_last_digits_does_not(toy: Victim) -> None:
    victim = changed(toy, lambda outputs, calls: outputs.astype(np.float32).astype(np.float64))
    for one in (toy, victim):
        assert not varies(one, Judge(one, np.random.default_rng(0)))

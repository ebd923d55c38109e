"""A victim of many classes is judged piece by piece: the same numbers, in little memory."""

import tracemalloc

import numpy as np
import pytest

from moatbench.client import Surrogate
from moatbench.judge import sample as module
from moatbench.judge.checked import BrokenAttack
from moatbench.judge.judge import Judge
from moatbench.judge.steady import varies
from moatbench.models.forward import softmax
from moatbench.reply import Predict, Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.types import Array
from moatbench.victim import Shares, Victim

SPACE = InputSpace.box(3)


def model(k: int, seed: int) -> Predict:
    weights = np.random.default_rng(seed).normal(size=(3, k))

    def predict(x: Array) -> Reply:
        return from_outputs(softmax(x @ weights))

    return predict


def victim_of(k: int, points: int) -> Victim:
    predict = model(k, 0)
    x = SPACE.sample(60, np.random.default_rng(0))
    y = predict(x).labels
    names = tuple(map(str, range(k)))
    shares = Shares(SPACE, names, x[:10], y[:10], x[10:20], x[20:], y[20:])
    return Victim(shares, predict, judged=points)


def test_pieces_tell_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    victim, surrogate = victim_of(30, 1000), Surrogate(model(30, 1))
    whole = Judge(victim, np.random.default_rng(0)).score(surrogate)
    monkeypatch.setattr(module, "WIDE", 10)
    monkeypatch.setattr(module, "CELLS", 30 * 7)
    judge = Judge(victim, np.random.default_rng(0))
    assert judge.score(surrogate) == pytest.approx(whole, rel=1e-12)
    assert judge.samples[1].truth.outputs is None
    assert varies(victim, judge) == []
    labels = Surrogate(lambda x: Reply(victim.predict(x).labels, None))
    scores = judge.score(labels)
    assert scores["fidelity_test"] == 1
    assert np.isnan(scores["tv_test"])


def test_a_surrogate_that_is_whole_in_some_pieces_alone_is_broken() -> None:
    victim = victim_of(300, 5000)

    def partly(x: Array) -> Reply:
        reply = victim.predict(x)
        return reply if len(x) == 40 or x[0, 0] > 0 else Reply(reply.labels, None)

    with pytest.raises(BrokenAttack, match="to every row or to none"):
        Judge(victim, np.random.default_rng(0)).score(Surrogate(partly))


def test_4096_classes_take_little_more_memory_than_ten() -> None:
    peaks = []
    for k in (10, 4096):
        victim, surrogate = victim_of(k, 2000), Surrogate(model(k, 1))
        tracemalloc.start()
        Judge(victim, np.random.default_rng(0)).score(surrogate)
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 32  # MB; one whole table of confidences is 64

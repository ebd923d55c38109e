"""What a surrogate answers is checked before it is scored."""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.judge.checked import CHUNK, MOST_NOTE, BrokenAttack, checked
from moatbench.judge.judge import Judge
from moatbench.reply import Reply
from moatbench.runner.suite import Failed, Point, run_attacks
from moatbench.types import Array, Generator
from moatbench.victim import Victim, reply_problem

Change = Callable[[Any], Any]


class AlwaysEqual(np.ndarray):
    """Equal to whatever it is compared with."""

    def __eq__(self, other: object) -> Any:
        return np.ones(len(self), bool)


WRONG: Mapping[str, tuple[Change, str]] = {
    "column": (
        lambda r: replace(r, labels=r.labels[:, None]),
        r"labels must be class indices, integers of shape \(\d+,\), got int64 of shape \(\d+, 1\)",
    ),
    "strings": (lambda r: replace(r, labels=r.labels.astype(str)), "labels must be .* got <U21"),
    "floats": (lambda r: replace(r, labels=r.labels.astype(float)), "labels must be .* float64"),
    "booleans": (lambda r: replace(r, labels=r.labels > 0), "labels must be .* got bool"),
    "list": (lambda r: replace(r, labels=r.labels.tolist()), "labels must be .* got a list"),
    "masked": (lambda r: replace(r, labels=np.ma.array(r.labels)), "got a MaskedArray"),
    "subclass": (lambda r: replace(r, labels=r.labels.view(AlwaysEqual)), "got a AlwaysEqual"),
    "one class more": (lambda r: replace(r, labels=r.labels + 1), r"labels must lie in 0\.\.2"),
    "negative": (lambda r: replace(r, labels=r.labels - 1), r"labels must lie .* got -1 to"),
    "short": (lambda r: replace(r, labels=r.labels[:-1]), r"labels must be .* of shape"),
    "logits": (lambda r: r.with_outputs(np.log(r.outputs) + 5), "outputs must be probabilities"),
    "half": (lambda r: r.with_outputs(r.outputs / 2), "sum to 1, got row 0 with sum 0.5"),
    "nan": (lambda r: r.with_outputs(r.outputs * np.nan), "outputs must be prob.* sum nan"),
    "wide": (
        lambda r: r.with_outputs(np.hstack([r.outputs, r.outputs])),
        r"outputs must be floats of shape \(\d+, 3\), one a class, got float64 of shape",
    ),
    "whole": (lambda r: r.with_outputs(np.eye(3, dtype=int)[r.labels]), "outputs must be floats"),
    "complex": (lambda r: r.with_outputs(r.outputs + 0j), "outputs must be floats .* complex128"),
    "array": (lambda r: r.outputs, "answer must be a Reply, got a ndarray; give Reply"),
    "nothing": (lambda r: None, "answer must be a Reply, got a NoneType"),
}
FINE: Mapping[str, Change] = {
    "small": lambda r: Reply(r.labels.astype(np.int16), r.outputs.astype(np.float32)),
    "labels": lambda r: Reply(r.labels),
    "off by rounding": lambda r: r.with_outputs(r.outputs * (1 + 4e-7)),
    "of two minds": lambda r: r.with_outputs(r.outputs[:, ::-1].copy()),
}


def scored(victim: Victim, change: Change) -> dict[str, float]:
    judge = Judge(victim, np.random.default_rng(0))
    return judge.score(Surrogate(lambda x: change(victim.predict(x))))


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_what_is_no_answer_breaks_the_attack(toy: Victim, change: Change, said: str) -> None:
    with pytest.raises(BrokenAttack, match=f"on test data, the surrogate's .*{said}"):
        scored(toy, change)


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_a_victim_is_held_to_the_same(toy: Victim, change: Change, said: str) -> None:
    with pytest.raises(ValueError, match=f"on the test data, the victim's .*{said}"):
        replace(toy, predict=lambda x: change(toy.predict(x)))


@pytest.mark.parametrize("change", FINE.values(), ids=FINE)
def test_what_is_an_answer_is_scored_by_its_label(toy: Victim, change: Change) -> None:
    assert scored(toy, change)["fidelity_test"] == 1


def test_probabilities_may_be_below_zero_by_rounding_only() -> None:
    outputs = np.array([[1 + 1e-9, -1e-9]])
    assert reply_problem(Reply(np.array([0]), outputs), 1, 2, least=-1e-6) == ""
    assert "least entry -1e-09" in reply_problem(Reply(np.array([0]), outputs), 1, 2)


def test_values_of_a_regression_are_one_finite_column() -> None:
    labels = np.zeros(2, np.int64)
    assert reply_problem(Reply(labels, np.array([[3.0], [-4.0]])), 2, 1) == ""
    assert "finite" in reply_problem(Reply(labels, np.array([[3.0], [np.inf]])), 2, 1)
    assert "(2, 1)" in reply_problem(Reply(labels, np.array([3.0, 4.0])), 2, 1)


def test_every_batch_is_checked_and_told_alike(toy: Victim) -> None:
    def last_is(change: Change) -> Change:
        return lambda r: change(r) if 0 < len(r) < CHUNK and len(r) != len(toy.shares.x_test) else r

    with pytest.raises(BrokenAttack, match="on uniform inputs, the surrogate's labels"):
        scored(toy, last_is(lambda r: replace(r, labels=r.labels[1:])))
    with pytest.raises(BrokenAttack, match="to every row or to none"):
        scored(toy, last_is(lambda r: Reply(r.labels)))


def test_a_buffer_that_is_used_again_does_no_harm(toy: Victim) -> None:
    buffer = np.empty((CHUNK, 3))

    def predict(x: Array) -> Reply:
        reply = toy.predict(x)
        assert reply.outputs is not None
        buffer[: len(x)] = reply.outputs
        return reply.with_outputs(buffer[: len(x)])

    scores = Judge(toy, np.random.default_rng(0)).score(Surrogate(predict))
    assert scores["tv_uniform"] == 0


def test_the_judges_inputs_cannot_be_written_to(toy: Victim) -> None:
    def predict(x: Array) -> Reply:
        x *= 0
        return toy.predict(x)

    with pytest.raises(ValueError, match="read-only"):
        Judge(toy, np.random.default_rng(0)).score(Surrogate(predict))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"predict": None}, r"predict must be a function of rows \(n, d\), got None"),
        ({"parameters": {"coef": [1.0]}}, "parameters must be arrays of numbers by name"),
        ({"parameters": [1.0]}, "parameters must be arrays of numbers by name"),
        *(
            ({"parameters": {name: np.eye(2)}}, "parameters must have printable names of 1 to 200")
            for name in ("", "x" * 201, "x\0y", "a\nb", "\udc80", "a/b", "npy.npy")
        ),
        ({"converged": "yes"}, "converged must be true or false, got 'yes'"),
        ({"note": 3}, "note must be a text, got 3"),
    ],
)
def test_its_other_fields_are_checked_too(toy: Victim, given: Any, said: str) -> None:
    with pytest.raises(BrokenAttack, match=f"the surrogate's {said}"):
        Judge(toy, np.random.default_rng(0)).score(replace(Surrogate(toy.predict), **given))


@dataclass(frozen=True)
class Yields(Attack):
    """Yields a good surrogate, and then this."""

    second: Any

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api = target.api
        first = Surrogate(lambda x: Reply(np.zeros(len(x), np.int64)))
        for checkpoint, surrogate in zip(api.checkpoints, (first, self.second), strict=True):
            api.query(api.card.space.sample(checkpoint - api.queries, rng))
            yield surrogate


def test_a_broken_surrogate_fails_the_attack_and_keeps_what_was_reached(toy: Victim) -> None:
    labels = Surrogate(lambda x: Reply(toy.predict(x).labels[:, None]))
    attacks: dict[str, Attack] = {"shape": Yields(labels), "none": Yields(toy.predict)}
    events = list(run_attacks(toy, Defense(), attacks, checkpoints=[3, 6], seed=0))
    reached = [type(event) for event in events if isinstance(event, Point | Failed)]
    assert reached == [Point, Failed, Point, Failed]
    told = [str(event.error) for event in events if isinstance(event, Failed)]
    assert "got int64 of shape" in told[0]
    assert "an attack must yield a Surrogate, got function; wrap its predict in one" in told[1]


def test_a_name_of_an_array_may_be_any_words() -> None:
    named = {"w1": np.eye(2), "grösse, 2 %": np.ones(1), "x" * 200: np.zeros(0)}
    surrogate = Surrogate(lambda x: Reply(np.zeros(len(x), np.int64)), parameters=named)
    assert checked(surrogate).parameters.keys() == named.keys()


def test_a_note_is_no_longer_than_a_file_of_curves_can_hold() -> None:
    surrogate = checked(Surrogate(lambda x: Reply(np.zeros(len(x), np.int64)), note="x" * 10**6))
    assert len(surrogate.note) == MOST_NOTE < csv.field_size_limit()

"""Averaging: the same question several times, and all of it paid."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from omegaconf import DictConfig
from shop import Spy

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Known, Target
from moatbench.attacks.averaging import Averaged, Averaging, averaged, neighbours
from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.client import Answers
from moatbench.compose.build import build_attacks
from moatbench.defense import Defense
from moatbench.defenses.noise import Noise
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.stack import Stack
from moatbench.testing import HARSH, check_run
from moatbench.types import Array
from moatbench.victim import NotApplicable, Shares, Victim

NAN = float("nan")
X = np.zeros((2, 4))
WITHIN = UniformRetraining("confidences", "published", "cube")
MIXED = InputSpace(
    (
        Numeric("size", 0.0, 10.0),
        Categorical("hue", ("r", "g", "b"), one_hot=False),
        Categorical("day", ("a", "b", "c")),
        Numeric("age", -1.0, 1.0),
    )
)


def noise(mode: str, sigma: float = 0.05) -> Noise:
    return Noise("gaussian", sigma, mode, 1e-6)


def answers(rows: list[int], labels: list[int], outputs: Any = None) -> Answers:
    told = None if outputs is None else np.array(outputs, dtype=np.float64)
    return Answers(np.zeros((len(rows), 4)), np.array(rows), np.array(labels), told, None)


def asked(victim: Victim, attack: Attack, mode: str) -> Array:
    """(queries / copies, copies, d) what reached the defense, questions together."""
    known, spy = Known(Spy(mode)), Spy(mode)
    api = MeteredAPI(Deployment(victim, spy, stream(0, "d")), [30, 60])
    list(attack.run(Target(api, victim.shares.pool, known), stream(0, "attack")))
    seen = np.vstack(spy.seen)
    return seen.reshape(-1, 3, seen.shape[1])


def test_outputs_are_the_mean_of_the_copies_that_have_any() -> None:
    outputs = [[0.8, 0.2], [0.6, 0.4], [NAN, NAN], [NAN, NAN]]
    got = averaged(X, np.array([0, 0, 0, 1]), answers([0, 1, 2, 3], [0, 0, 1, 1], outputs), 2)
    assert got.outputs is not None
    assert_allclose(got.outputs, [[0.7, 0.3], [NAN, NAN]])


def test_the_label_is_what_most_copies_say_whatever_their_confidences() -> None:
    outputs = [[1, 0], [0.49, 0.51], [0.49, 0.51]]
    got = averaged(X, np.zeros(3, np.intp), answers([0, 1, 2], [0, 1, 1], outputs), 2)
    assert got.labels.tolist() == [1]


def test_a_tie_falls_to_the_larger_mean_output_of_those_that_are_tied() -> None:
    outputs = [[0.0, 0.3, 0.7], [0.0, 0.3, 0.7], [0.0, 0.8, 0.2], [0.0, 0.7, 0.3]]
    got = averaged(X, np.zeros(4, np.intp), answers([0, 1, 2, 3], [0, 0, 1, 1], outputs), 3)
    assert got.labels.tolist() == [1]
    assert averaged(X, np.zeros(2, np.intp), answers([0, 1], [2, 1]), 3).labels.tolist() == [1]


def test_of_refused_copies_what_was_answered_counts_and_a_row_without_any_is_refused() -> None:
    got = averaged(X, np.array([1]), answers([4], [1], [[0.2, 0.8]]), 2)
    assert got.rows.tolist() == [1]
    assert got.outputs is not None
    assert got.outputs.tolist() == [[0.2, 0.8]]


def test_every_copy_reaches_the_victim_and_the_meter(toy: Victim) -> None:
    spy = Spy("fresh")
    api = MeteredAPI(Deployment(toy, spy, stream(0, "d")), [5, 6, 99])
    surrogates = Averaging(WITHIN, 7, "auto").run(Target(api, toy.shares.pool), stream(0, "attack"))
    for checkpoint, _ in zip(api.checkpoints, surrogates, strict=True):
        assert sum(map(len, spy.seen)) == api.queries == checkpoint


@pytest.mark.parametrize("harsh", HARSH, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("mode", ["fresh", "keyed"])
def test_it_goes_on_where_it_is_told_little(toy: Victim, mode: str, harsh: Defense) -> None:
    stack = Stack({"noise": noise(mode), "harsh": harsh})
    assert check_run(toy, stack, Averaging(WITHIN, 3, "auto")) == ""


def test_fresh_noise_is_asked_the_same_again(toy: Victim) -> None:
    seen = asked(toy, Averaging(WITHIN, 3, "auto"), "fresh")
    assert (seen == seen[:, :1]).all()
    assert len(np.unique(seen[:, 0], axis=0)) == len(seen)


def test_keyed_noise_is_asked_neighbours_beside_the_row_itself(toy: Victim) -> None:
    seen = asked(toy, Averaging(WITHIN, 3, "auto"), "keyed")
    away = np.abs(seen - seen[:, :1])
    assert (away[:, 1:] > 0).all()
    assert away.max() <= 0.001 * 2  # of a range of [-1, 1]
    assert away.max() > 0.0018


def test_a_jitter_that_is_given_holds_for_any_noise(toy: Victim) -> None:
    seen = asked(toy, Averaging(WITHIN, 3, 0.1), "fresh")
    assert 0.18 < np.abs(seen - seen[:, :1]).max() <= 0.2
    assert (np.ptp(asked(toy, Averaging(WITHIN, 3, 0), "keyed"), axis=1) == 0).all()


def test_neighbours_keep_categories_gaps_and_bounds() -> None:
    rng = stream(0, "x")
    x = MIXED.sample(200, rng)
    x[:50, 0] = NAN
    near = neighbours(x, MIXED, 0.3, rng)
    assert_array_equal(near[:, 1:5], x[:, 1:5])
    assert np.isnan(near[:50, 0]).all()
    assert MIXED.valid(near).all()
    away = np.abs(near - x)
    assert 2.5 < np.nanmax(away[:, 0]) <= 3.0  # of [0, 10]
    assert 0.5 < away[:, 5].max() <= 0.6


def error(victim: Victim, defense: Defense, copies: int, jitter: float) -> float:
    """Root mean square error of the answers, where no noise clips."""
    api = MeteredAPI(Deployment(victim, defense, stream(0, "d")), [1_000_000])
    x = victim.space.sample(20_000, stream(1, "x"))
    x = x[victim.predict(x).outputs.min(axis=1) > 0.2]  # type: ignore[union-attr]
    assert len(x) > 300
    view = Averaged(api, copies, jitter, stream(0, "j")) if copies > 1 else api
    gap = view.query(x).outputs - victim.predict(x).outputs  # type: ignore[operator]
    return float(np.sqrt((gap**2).mean()))


@pytest.mark.parametrize(("mode", "jitter"), [("fresh", 0.0), ("keyed", 1e-3)])
def test_the_mean_of_25_answers_errs_a_fifth_as_much(toy: Victim, mode: str, jitter: float) -> None:
    """The law of large numbers: noise of standard deviation sigma / sqrt(copies) is left."""
    once, often = (error(toy, noise(mode, 0.02), copies, jitter) for copies in (1, 25))
    assert often == pytest.approx(once / 5, rel=0.15)


def test_repeats_of_keyed_noise_tell_nothing(toy: Victim) -> None:
    once, often = (error(toy, noise("keyed"), copies, 0.0) for copies in (1, 25))
    assert often == pytest.approx(once, rel=1e-9)


@pytest.mark.parametrize("defense", [Defense(), noise("fresh", 0.0)])
def test_without_noise_it_does_not_apply(toy: Victim, defense: Defense) -> None:
    with pytest.raises(NotApplicable, match="carry no noise to average out"):
        next(iter(Extraction(toy, defense, Averaging(WITHIN, 3, "auto"), [9])))


def test_without_a_numeric_column_there_are_no_neighbours(toy: Victim) -> None:
    space = InputSpace((Categorical("day", ("a", "b", "c", "d")),))
    shares = replace(toy.shares, space=space, x_test=space.sample(300, stream(0, "x")))
    victim = Victim(Shares(**vars(shares)), toy.predict, "softmax")
    api = MeteredAPI(Deployment(victim, Defense(), stream(0, "d")), [9])
    attack = Averaging(WITHIN, 3, "auto")
    told = [
        attack.unmet(Target(api, victim.shares.pool, Known(noise(mode))))
        for mode in ("keyed", "fresh")
    ]
    assert told == ["needs a numeric column, along which to ask neighbours", ""]


def test_what_is_known_is_passed_on_to_the_attack_within(toy: Victim) -> None:
    told: list[object] = []

    class Curious(Attack):
        oracle = True
        labels_only = True
        against = frozenset({"watches"})

        def run(self, target: Target, rng: Any) -> Any:
            told.append(target.known)

    attack, known = Averaging(Curious(), 3, "auto"), Known(noise("fresh"))
    api = MeteredAPI(Deployment(toy, Defense(), stream(0, "d")), [9])
    attack.run(Target(api, toy.shares.pool, known), stream(0, "attack"))
    assert told == [known]
    assert attack.oracle
    assert attack.labels_only
    assert attack.against == {"watches", "noisy"}


@pytest.mark.parametrize(
    ("copies", "jitter", "told"),
    [
        (1, "auto", "copies must be a whole number of at least 2, got 1; 1 is the other"),
        (3, "much", "jitter must be a number from 0 to 1, or auto, got 'much'"),
        (3, 2.0, "jitter must be a number from 0 to 1, or auto, got 2.0"),
    ],
)
def test_a_bad_knob_is_refused(copies: int, jitter: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Averaging(WITHIN, copies, jitter)


def test_the_attack_within_is_chosen_by_name(composed: Callable[..., DictConfig]) -> None:
    cfg = composed("attack=averaging", "attack@attack.attack=uniform_retraining")
    attack = build_attacks(cfg.attack, "averaging")["averaging"]
    assert attack == Averaging(WITHIN, 3, "auto")

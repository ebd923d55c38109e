"""EDM: members that agree on the data and nowhere else, and which of them answers."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import check_grad
from shop import fresh, refuses_what_it_cannot_train_on

from moatbench.defense import Defense
from moatbench.defenses.edm import (
    HASH_SPREAD,
    EnsembleOfDiverseModels,
    hash_network,
    likeness,
    member,
)
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.rounding import Rounding
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax

NAN = float("nan")
EDM = EnsembleOfDiverseModels(5, 8, 1.0, 40)


def each(defense: EnsembleOfDiverseModels, victim: Victim, x: Array) -> list[Array]:
    """The answers (n, k) of each member."""
    return [network.outputs(victim.space.encode(x)) for network in defense.networks]


@pytest.mark.parametrize(
    "defense",
    [replace(EDM, members=2, diversity=0.0), Stack({"edm": EDM, "round": Rounding(2)})],
    ids=lambda d: f"{type(d).__name__}{getattr(d, 'members', '')}",
)
def test_the_contract_holds(toy: Victim, defense: Defense) -> None:
    assert check_defense(toy, defense) == ""


# Diversity


@pytest.mark.parametrize("diversity", [0.0, 1.0])
def test_members_disagree_on_strange_inputs_only_where_they_are_told_to(diversity: float) -> None:
    """On digits, where inputs drawn uniformly are nothing like the data."""
    victim = softmax(bundled("digits"), stream(0, "victim"))
    defense = fresh(EnsembleOfDiverseModels(5, 16, diversity, 50), victim)
    strange = victim.space.sample(1000, np.random.default_rng(1))
    apart = [
        np.mean([np.mean(a.argmax(axis=1) != b.argmax(axis=1)) for a, b in combinations(told, 2)])
        for told in (each(defense, victim, x) for x in (strange, victim.shares.x_test))
    ]
    assert apart[0] > 0.9 if diversity else apart[0] < 0.6
    assert apart[1] < 0.1


def test_members_are_as_accurate_as_the_victim_to_three_points() -> None:
    victim = softmax(bundled("digits"), stream(0, "victim"))
    x, y = victim.shares.x_test, victim.shares.y_test
    defense, clean = fresh(EnsembleOfDiverseModels(5, 16, 1.0, 50), victim), victim.predict(x)
    accuracy = np.mean(clean.labels == y)
    for told in each(defense, victim, x):
        assert np.mean(told.argmax(axis=1) == y) > accuracy - 0.03
    served = defense.respond(x, clean, "alice").labels
    assert np.mean(served == y) > accuracy - 0.03
    assert 0.9 < np.mean(served == clean.labels) < 1  # labels are not preserved


def test_the_likeness_is_the_formula_of_the_paper() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 4, 5))
    p = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    total = 0.0
    for row in range(4):
        pairs = [
            p[i, row] @ p[j, row] / (np.linalg.norm(p[i, row]) * np.linalg.norm(p[j, row]))
            for i, j in combinations(range(3), 2)
        ]
        total += np.log(sum(np.exp(pairs))) / 4
    assert likeness(scores)[0] == pytest.approx(total, rel=1e-12)


def test_the_gradient_of_the_likeness_is_torch_s_and_that_of_small_steps() -> None:
    flat = np.random.default_rng(0).normal(size=3 * 4 * 5)
    scores = torch.tensor(flat.reshape(3, 4, 5), requires_grad=True)
    u = torch.nn.functional.normalize(torch.softmax(scores, 2), dim=2)
    i, j = zip(*combinations(range(3), 2), strict=True)
    smooth = torch.logsumexp((u[list(i)] * u[list(j)]).sum(2), 0).mean()
    (expected,) = torch.autograd.grad(smooth, scores)
    assert_allclose(likeness(scores.detach().numpy())[1], expected.numpy(), atol=1e-12)
    error = check_grad(
        lambda s: likeness(s.reshape(3, 4, 5))[0],
        lambda s: likeness(s.reshape(3, 4, 5))[1].ravel(),
        flat,
    )
    assert error < 1e-6


# Serving


def test_the_serving_rule_by_hand() -> None:
    # M = 10, m = 2: i = (2 c + floor((10 p - 1) 2 / 9)) mod 5
    hashed = np.full((4, 10), 0.0)
    hashed[0, 3], hashed[0, 4] = 0.8, 0.2  # floor(7 * 2 / 9) = 1: 2 * 3 + 1 = 7
    hashed[1, 3], hashed[1, 4] = 0.52, 0.48  # floor(4.2 * 2 / 9) = 0: 6
    hashed[2, 9] = 1.0  # floor(2) = 2: 18 + 2 = 20
    hashed[3] = 0.1  # all alike: class 0, and floor(0)
    assert member(hashed, 5).tolist() == [2, 1, 0, 0]


def test_each_row_is_answered_by_the_member_that_the_hash_names(toy: Victim) -> None:
    x, defense = toy.space.sample(300, np.random.default_rng(1)), fresh(EDM, toy)
    reply = defense.respond(x, toy.predict(x), "alice")
    serving = member(defense._hash.outputs(toy.space.encode(x)), 5)
    assert reply.outputs is not None
    assert np.array_equal(reply.outputs, np.array(each(defense, toy, x))[serving, np.arange(300)])
    assert np.array_equal(reply.labels, reply.outputs.argmax(axis=1))
    assert min(np.bincount(serving, minlength=5)) > 5


def test_the_hash_is_spread_evenly_over_the_defender_s_data() -> None:
    known = np.random.default_rng(0).uniform(0.8, 1, (500, 6))  # a corner of the box
    scores = hash_network(known, np.random.default_rng(1)).scores(known)
    assert_allclose(scores.mean(axis=0), 0, atol=1e-9)
    assert_allclose(scores.std(axis=0), HASH_SPREAD, rtol=1e-9)
    assert np.isfinite(hash_network(known[:1], np.random.default_rng(1)).outputs(known)).all()


def test_the_same_stream_gives_the_same_members_and_another_gives_others(toy: Victim) -> None:
    x = toy.shares.x_test
    one, again, other = (fresh(EDM, toy, seed=seed) for seed in (0, 0, 1))
    told = [d.respond(x, toy.predict(x), "alice").outputs for d in (one, again, other)]
    assert np.array_equal(told[0], told[1])
    assert not np.array_equal(told[0], told[2])


def test_what_was_not_told_or_withheld_stays_so_and_the_path_is_not_told(toy: Victim) -> None:
    x, defense = toy.space.sample(2, np.random.default_rng(1)), fresh(EDM, toy)
    withheld = np.array([False, True])
    reply = Reply(np.array([2, 0]), np.array([[NAN] * 3, [0.45, 0.35, 0.2]]), x, withheld)
    told = defense.respond(x, reply, "alice")
    assert told.outputs is not None
    assert np.isnan(told.outputs).any(axis=1).tolist() == [True, False]
    assert told.path is None
    assert told.refused is withheld
    full = defense.respond(x, toy.predict(x), "alice")
    assert np.array_equal(told.labels, full.labels)


def test_labels_alone_are_the_members_too(toy: Victim) -> None:
    x, defense = toy.space.sample(200, np.random.default_rng(1)), fresh(EDM, toy)
    bare = LabelOnly().respond(x, toy.predict(x), "alice")
    told = defense.respond(x, bare, "alice")
    assert told.outputs is None
    assert np.array_equal(told.labels, defense.respond(x, toy.predict(x), "alice").labels)


def test_ten_thousand_answers_take_less_than_a_second(toy: Victim) -> None:
    x, defense = toy.space.sample(10_000, np.random.default_rng(0)), fresh(EDM, toy)
    reply = toy.predict(x)
    start = time.process_time()
    defense.respond(x, reply, "alice")
    assert time.process_time() - start < 1


def test_deployment_takes_less_than_a_second(toy: Victim) -> None:
    start = time.process_time()
    fresh(EnsembleOfDiverseModels(5, 16, 1.0, 50), toy)
    assert time.process_time() - start < 1


# What it needs, and what it refuses


def test_a_victim_that_lacks_what_is_needed_is_told_at_once(toy: Victim) -> None:
    refuses_what_it_cannot_train_on(EDM, toy)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(EDM, members=1), "members must be a whole number of at least 2, got 1"),
        (lambda: replace(EDM, hidden=0), "hidden must be a whole number of at least 1, got 0"),
        (lambda: replace(EDM, diversity=-1), "diversity must be a number of at least 0, got -1"),
        (lambda: replace(EDM, steps=2.5), "steps must be a whole number of at least 1, got 2.5"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Defense], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

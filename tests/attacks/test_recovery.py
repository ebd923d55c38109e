"""Attackers that undo a perturbation of the answers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from shop import attack_of, defense_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Known, Target
from moatbench.attacks.recovery import Recovery
from moatbench.client import Card
from moatbench.defense import Defense
from moatbench.defenses.mad import MAD
from moatbench.defenses.modelguard_s import ModelGuardS
from moatbench.defenses.modelguard_w import ModelGuardW
from moatbench.defenses.noise import Noise
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.shuffle import Shuffle
from moatbench.learners.ddae import DDAE
from moatbench.learners.restoring import Lookup, Method, Pairs
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, Extraction, extract
from moatbench.stack import Stack
from moatbench.strategies.simulation import Simulation, answers, stand_in, unlikeness, variants
from moatbench.testing import RefuseAll
from moatbench.testing.attacks import HARSH, TellLabels
from moatbench.types import Array, Generator, Labels
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax

LOOKUP, NET = Lookup(0.01, 8), DDAE(30, 128, 0.01)
SIGMOID = ReverseSigmoid(0.8, 0.2, True)
MAD_ARGMAX, GUARD = MAD(1.0, True), ModelGuardW(1.0)


def recovery(restorer: Method = LOOKUP, **knobs: Any) -> Recovery:
    own = {
        "knowledge": "exact",
        "prior": "shadow",
        "learner": "published",
        "inputs": "cube",
        "first": 0.25,
        "growth": 0.05,
        "uniform_share": 0.05,
        "pairs": 4000,
        "rounds": 1,
    }
    return Recovery(restorer, **(own | knobs))


def curve(victim: Victim, defense: Defense, attack: Recovery, *points: int) -> list[Checkpoint]:
    return list(extract(victim, defense, attack, checkpoints=points or (100,)))


def pairs(m: int, k: int, seed: int) -> Pairs:
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.full(k, 0.5), m)
    told = 0.5 * true + 0.5 / k
    return Pairs(told.round(1), true, true.argmax(axis=1))


def by_loops(table: Pairs, told: Array, label: int, radius: float, neighbours: int) -> Array:
    """Look one answer up as the definition says."""
    same = [i for i in range(len(table.told)) if table.labels[i] == label]
    far = {i: sum(abs(table.told[i, j] - told[j]) for j in range(len(told))) for i in same}
    reach = max(radius, sorted(far.values())[min(neighbours, len(same)) - 1])
    near = [i for i in same if far[i] <= reach + 1e-12]
    return np.asarray(sum(table.true[i] for i in near) / len(near))


@pytest.mark.parametrize("neighbours", [1, 8])
def test_a_lookup_is_the_mean_truth_of_the_near_entries(neighbours: int) -> None:
    table, asked = pairs(300, 4, 0), pairs(40, 4, 1)
    asked = asked._replace(told=asked.told + 0.003)
    restorer = Lookup(0.25, neighbours).learn(table, True, np.random.default_rng(0))
    expected = [
        by_loops(table, t, c, 0.25, neighbours)
        for t, c in zip(asked.told, asked.labels, strict=True)
    ]
    assert_allclose(restorer.restore(asked.told, asked.labels), expected, atol=1e-12)


def test_a_lookup_averages_all_entries_that_were_told_the_same() -> None:
    table = Pairs(
        np.array([[0.6, 0.4]] * 3 + [[0.9, 0.1]]),
        np.array([[0.55, 0.45], [0.6, 0.4], [0.65, 0.35], [0.95, 0.05]]),
        np.zeros(4, np.int64),
    )
    found = Lookup(0.01, 1).learn(table, True, np.random.default_rng(0))
    assert_allclose(found.restore(np.array([[0.6, 0.4]]), np.array([0])), [[0.6, 0.4]])


def test_a_lookup_believes_an_answer_whose_label_the_table_lacks() -> None:
    table = Pairs(np.array([[0.9, 0.1]]), np.array([[0.8, 0.2]]), np.array([0]))
    found = LOOKUP.learn(table, True, np.random.default_rng(0))
    assert_allclose(found.restore(np.array([[0.2, 0.6]]), np.array([1])), [[0.25, 0.75]])


@pytest.mark.parametrize("method", [LOOKUP, NET], ids=["lookup", "network"])
def test_a_restorer_undoes_what_it_has_seen(method: Method) -> None:
    table, asked = (
        p._replace(told=0.5 * p.true + 0.125) for p in (pairs(2000, 4, 0), pairs(500, 4, 1))
    )
    found = method.learn(table, True, np.random.default_rng(0)).restore(asked.told, asked.labels)
    assert error(found, asked.true) < 0.25 * error(asked.told, asked.true)
    assert_allclose(found.sum(axis=1), 1)


def test_a_network_is_the_same_from_the_same_seed() -> None:
    table, asked = pairs(200, 3, 0), pairs(20, 3, 1)
    one, two = (
        NET.learn(table, True, np.random.default_rng(7)).restore(asked.told, asked.labels)
        for _ in range(2)
    )
    assert_array_equal(one, two)


def test_a_network_leaves_the_stream_of_torch_alone() -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(1).item()
    torch.manual_seed(3)
    NET.learn(pairs(64, 3, 0), True, np.random.default_rng(0))
    assert torch.rand(1).item() == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lookup(-1.0, 1),
        lambda: Lookup(0.01, 0),
        lambda: DDAE(0, 128, 0.01),
        lambda: DDAE(10, 1, 0.01),
        lambda: DDAE(10, 128, 0.0),
        lambda: recovery(knowledge="all"),
        lambda: recovery(prior="none"),
        lambda: recovery(pairs=0),
        lambda: recovery(rounds=0),
        lambda: recovery(knowledge="none", prior="oracle"),
    ],
)
def test_bad_knobs_are_told(make: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


def test_the_oracle_prior_is_an_upper_bound_and_says_so(toy: Victim) -> None:
    assert recovery(prior="oracle").oracle
    assert not recovery(prior="shadow").oracle
    assert not recovery(prior="self").oracle


def test_an_attack_that_is_no_oracle_is_never_shown_the_victim(toy: Victim) -> None:
    shown: list[Victim | None] = []

    class Spied(Recovery):  # type: ignore[misc]
        def run(self, target: Target, rng: Generator) -> Any:
            shown.append(target.known.victim)
            return super().run(target, rng)

    for prior in ("shadow", "self", "oracle"):
        own = recovery(prior=prior)
        spied = Spied(**{f: getattr(own, f) for f in own.__match_args__})
        list(extract(toy, SIGMOID, spied, checkpoints=(60,)))
    assert [victim is None for victim in shown] == [True, True, False]


def test_a_copy_draws_secrets_of_its_own_even_from_a_deployed_defense(toy: Victim) -> None:
    """A suite deploys one defense again and again; what is copied may hold the last secret."""
    shuffle = Shuffle(1e-6)
    shuffle.deploy(toy, stream(0, "defense"))
    x = toy.shares.x_test[:100]
    served = shuffle.respond(x, toy.predict(x), "adversary").outputs
    rows, told, _ = Simulation(shuffle, toy, np.random.default_rng(1)).tell(x, answers(toy, x))
    assert served is not None
    assert (told != served[rows]).any(axis=1).mean() > 0.2  # of two orders of two, half are equal
    assert_array_equal(shuffle.respond(x, toy.predict(x), "adversary").outputs, served)


def test_a_stand_in_holds_nothing_of_the_victims_data(toy: Victim) -> None:
    card = card_of(toy)
    secret = replace(toy.shares, x_train=toy.shares.x_train * np.nan, x_test=toy.shares.x_test)
    model = stand_in(card, secret.pool, toy.predict, np.random.default_rng(0))
    mine = np.vstack([model.shares.x_train, model.shares.x_test])
    theirs = np.vstack([toy.shares.x_train, toy.shares.x_test])
    assert not (mine[:, None] == theirs[None]).all(axis=2).any()
    assert model.shares.y_pool is None


def test_the_variant_that_explains_the_answers_has_the_victims_knobs(toy: Victim) -> None:
    rng, x = np.random.default_rng(0), toy.space.sample(100, np.random.default_rng(1))
    truth = Simulation(SIGMOID, toy, rng).tell(x, answers(toy, x))[1]
    tried = variants(ReverseSigmoid(0.01, 1.0, True), rng)
    gaps = [unlikeness(defense, toy, x, truth, rng) for defense in tried]
    assert tried[int(np.argmin(gaps))] == SIGMOID


def test_the_variants_of_a_stack_are_those_of_its_layers() -> None:
    stack = Stack({"sigmoid": SIGMOID, "round": Rounding(2)})
    found = variants(stack, np.random.default_rng(0))
    assert all(isinstance(one, Stack) for one in found)
    assert len({repr(list(one.layers.values())) for one in found}) == len(found) == 48


def test_there_is_nothing_to_undo_without_a_defense(toy: Victim) -> None:
    with pytest.raises(NotApplicable, match="nothing to undo"):
        curve(toy, Defense(), recovery())


@pytest.mark.parametrize("defense", [*HARSH, RefuseAll()], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("restorer", [LOOKUP, NET], ids=["lookup", "network"])
def test_a_harsh_defense_ends_no_recovery(defense: Defense, restorer: Method, toy: Victim) -> None:
    assert [p.queries for p in curve(toy, defense, recovery(restorer), 20, 60)] == [20, 60]


def test_a_copy_that_cannot_be_deployed_leaves_the_labels(toy: Victim) -> None:
    deployed: list[Victim] = []

    class Choosy(Defense):
        def deploy(self, victim: Victim, rng: Generator) -> None:
            if deployed:
                raise NotApplicable("only before the original")
            deployed.append(victim)

        def respond(self, x: Array, reply: Reply, account: str) -> Reply:
            assert reply.outputs is not None
            return reply.with_outputs(reply.outputs**0.5 / (reply.outputs**0.5).sum(1)[:, None])

    (point,) = curve(toy, Choosy(), recovery())
    assert "labels: the copy of the defense: only before the original" in point.note


def test_answers_without_outputs_leave_the_labels(toy: Victim) -> None:
    (point,) = curve(toy, TellLabels(), recovery())
    assert "labels: no answer came with outputs" in point.note


@pytest.mark.parametrize(
    "attack",
    [
        recovery(prior="self", rounds=2),
        recovery(prior="oracle"),
        recovery(knowledge="family"),
        recovery(knowledge="none"),
    ],
    ids=["self", "oracle", "family", "none"],
)
def test_a_recovery_is_the_same_from_the_same_seed(attack: Recovery, toy: Victim) -> None:
    one, two = (
        [(p.metrics, p.note) for p in curve(toy, SIGMOID, attack, 30, 100)] for _ in range(2)
    )
    assert repr(one) == repr(two)


@pytest.mark.parametrize(
    "defense",
    [SIGMOID, MAD_ARGMAX, ModelGuardS(0.5), Noise("gaussian", 0.2, "keyed", 1e-6)],
    ids=lambda d: type(d).__name__,
)
def test_the_note_says_what_was_trained_on(defense: Defense, toy: Victim) -> None:
    notes = [p.note for p in curve(toy, defense, recovery(), 60, 200)]
    known = ("restored answers, round", "labels: ", "answers as told")
    assert all(n.startswith(known) for n in notes)


def error(found: Array, true: Array) -> float:
    return float(np.abs(found - true).sum(axis=1).mean())


def card_of(victim: Victim) -> Card:
    return MeteredAPI(Deployment(victim, Defense(), stream(0, "d")), [1]).card


class Watched:
    """A method of restoring that also restores answers which the attack never bought."""

    def __init__(self, method: Method, fresh: dict[str, tuple[Array, Labels, Array]]) -> None:
        self.method, self.fresh = method, fresh
        self.errors: dict[str, float] = {}

    def learn(self, table: Pairs, keeps_labels: bool, rng: Generator) -> Any:
        restorer = self.method.learn(table, keeps_labels, rng)
        for name, (told, labels, true) in self.fresh.items():
            self.errors[name] = error(restorer.restore(told, labels), true)
        return restorer


class Careless:
    """A method whose restored answers have a column too few."""

    def learn(self, table: Pairs, keeps_labels: bool, rng: Generator) -> "Careless":
        return self

    def restore(self, outputs: Array, labels: Labels) -> Array:
        return outputs[:, 1:]


def test_a_restorer_that_returns_no_outputs_is_told_what_it_broke(toy: Victim) -> None:
    with pytest.raises(ValueError, match=r"must return finite outputs of shape \(\d+, 3\)"):
        curve(toy, SIGMOID, recovery(Careless()), 200)


def shares_of_error_left(
    defense: Defense, seed: int, queries: int, **knobs: Any
) -> dict[str, float]:
    """Restored over told mean L1 error on digits, on fresh uniform inputs and on the test data."""
    victim = softmax(bundled("digits", 0.3, 0.25), stream(seed, "victim"))
    deployment = Deployment(victim, defense, stream(seed, "defense"))
    inputs = {
        "uniform": victim.space.sample(1000, stream(seed, "fresh")),
        "test": victim.shares.x_test,
    }
    fresh = {}
    for name, x in inputs.items():
        answered = deployment.answer(x, "customer")
        assert answered.outputs is not None
        fresh[name] = answered.outputs, answered.labels, answers(victim, x)
    watched = Watched(LOOKUP, fresh)
    attack, known = recovery(watched, **knobs), Known(defense, victim)
    api = MeteredAPI(deployment, [queries])
    assert (
        len(list(attack.run(Target(api, victim.shares.pool, known), stream(seed, "attack")))) == 1
    )
    return {name: watched.errors[name] / error(f[0], f[2]) for name, f in fresh.items()}


SLOW = pytest.mark.slow


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=SLOW), pytest.param(2, marks=SLOW)])
def test_lookup_halves_the_error_of_reverse_sigmoid_on_digits(seed: int) -> None:
    """With the knobs known, and a surrogate trained on 1,300 labels for a prior."""
    left = shares_of_error_left(SIGMOID, seed, 1300)
    assert max(left.values()) <= 0.5


@pytest.mark.slow
def test_lookup_halves_the_error_of_modelguard_w_on_digits() -> None:
    """With the knobs known, and a surrogate trained on 1,300 labels for a prior."""
    left = shares_of_error_left(GUARD, 0, 1300)
    assert max(left.values()) <= 0.5


@pytest.mark.parametrize(
    "defense",
    [SIGMOID, MAD_ARGMAX, pytest.param(GUARD, marks=SLOW)],
    ids=["reverse_sigmoid", "mad_argmax", "modelguard_w"],
)
def test_recovery_keeps_up_with_labels_on_digits(defense: Defense) -> None:
    """It asks what adaptive retraining on labels asks; that has 98.0 and 92.9 % at 1,300."""
    victim = softmax(bundled("digits", 0.3, 0.25), stream(0, "victim"))
    (point,) = list(Extraction(victim, defense, recovery(), (1300,)))
    labels_only, retraining = defense_of("label_only"), attack_of("adaptive_retraining")
    (labels,) = list(Extraction(victim, labels_only, retraining, (1300,)))
    assert labels.metrics["fidelity_test"] >= 0.97
    for measured in ("fidelity_test", "fidelity_uniform"):
        assert point.metrics[measured] >= labels.metrics[measured]

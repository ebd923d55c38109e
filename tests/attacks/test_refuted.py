"""A model that explains answers is the victim only if the defense would have told these of it."""

from dataclasses import replace

import numpy as np
import pytest
from shop import attack_of, defense_of, victim_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Known, Target
from moatbench.defense import Defense
from moatbench.inverses.equations import StandingEquations
from moatbench.inverses.origins import Origins
from moatbench.learners.purchases import Purchases
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, extract
from moatbench.strategies.refuting import Refuting
from moatbench.traits import Traits
from moatbench.types import Array, Rows
from moatbench.victim import Victim

ATTACKS = ("equation_solving", "robust_equations")
SAID = "copies of the defense tell others of it"


class Tempered(Defense):
    """Tells square roots: another model of the family."""

    traits = Traits({"perturbs"}, keeps_labels=True)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        roots = np.sqrt(reply.outputs)
        return reply.with_outputs(roots / roots.sum(axis=1, keepdims=True))


class Turned(Defense):
    """Tells each class what another one has."""

    traits = Traits({"relabels"}, keeps_labels=False)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        def turned(_: Rows, y: Array) -> Array:
            return np.roll(y, 1, axis=1)

        return reply.perturbed(turned, keep_labels=False)


def misinforming(tau: float = 0.7) -> Defense:
    return defense_of("adaptive_misinformation", f"defense.adaptive_misinformation.tau={tau}")


def last(
    victim: Victim, defense: Defense, attack: str, queries: int, seed: int = 0, *knobs: str
) -> Checkpoint:
    (point,) = extract(victim, defense, attack_of(attack, *knobs), checkpoints=[queries], seed=seed)
    return point


def asked(
    victim: Victim, defense: Defense, n: int = 150, seed: int = 0
) -> tuple[Target, Purchases]:
    """Buy uniform answers."""
    api = MeteredAPI(Deployment(victim, defense, stream(seed, "defense")), [n])
    bought = Purchases(api.card)
    bought.add(api.query(api.card.space.sample(n, np.random.default_rng(seed))))
    return Target(api, victim.shares.pool, Known(defense)), bought


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    ("data", "seed", "queries"), [("iris", 0, 150), ("iris", 1, 150), ("wine", 1, 300)]
)
def test_the_model_that_misinforms_is_not_told_though_it_is_surer(
    data: str, seed: int, queries: int, attack: str
) -> None:
    point = last(victim_of("softmax", data, seed=seed), misinforming(), attack, queries, seed)
    assert point.metrics["fidelity_test"] == 1
    assert point.metrics["parameter_error"] < 1e-6
    assert "2 models answer in turn" in point.note


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("tau", [0.9, 0.99])
def test_where_it_alone_is_found_no_parameters_are_told(tau: float, attack: str) -> None:
    point = last(victim_of("softmax", "iris"), misinforming(tau), attack, 150)
    assert point.metrics["fidelity_test"] < 0.9
    assert not point.parameters
    assert "solved" not in point.note or SAID in point.note


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(("victim", "data"), [("softmax", "iris"), ("logistic", "breast_cancer")])
def test_what_a_rule_makes_of_a_model_is_not_the_victim(
    victim: str, data: str, attack: str
) -> None:
    for rule in (Tempered(), Turned()):
        point = last(victim_of(victim, data), rule, attack, 150)
        assert not point.parameters
        assert "solved" not in point.note or SAID in point.note


def test_nor_is_what_it_makes_of_a_network() -> None:
    """Of families that no standing equations are solved for, too."""
    victim = victim_of("mlp", "iris", "victim.hidden=2")
    plain = last(victim, Defense(), "equation_solving", 300)
    assert plain.parameters
    point = last(victim, Tempered(), "equation_solving", 300)
    assert not point.parameters
    assert point.note.endswith(SAID)


@pytest.mark.parametrize(
    "name", ["mad", "modelguard_w", "grad2", "dawn", "reverse_sigmoid", "shuffle", "edm"]
)
def test_the_victim_is_not_refuted(name: str) -> None:
    victim = victim_of("softmax", "wine")
    target, bought = asked(victim, defense_of(name))
    assert not Refuting(target, bought, np.random.default_rng(0))(victim.predict)


@pytest.mark.parametrize(
    "choice",
    [
        ("extraction_warning", "response@defense.extraction_warning.response=shuffle"),
        ("vardetect", "response@defense.vardetect.response=adaptive_misinformation"),
    ],
)
def test_where_an_alarm_moves_answers_the_victim_is_not_refuted(choice: tuple[str, str]) -> None:
    """Copies take uniform rows for customers' and see no alarm."""
    victim = victim_of("softmax", "iris")
    target, bought = asked(victim, defense_of(*choice), 300)
    assert not Refuting(target, bought, np.random.default_rng(0))(victim.predict)


def test_one_secret_that_moves_many_answers_alike_refutes_nothing_by_chance() -> None:
    """One group of copies refuted 7 of 100."""
    victim, dawn = victim_of("softmax", "iris"), ("defense.dawn.share=0.05", "defense.dawn.grid=1")
    for seed in range(40):
        target, bought = asked(victim, defense_of("dawn", *dawn), 150, seed)
        refuting = Refuting(target, bought, np.random.default_rng(seed + 1000))
        assert not refuting(victim.predict)


def test_accounts_in_turn_before_a_quota_whose_answers_change_lose_nothing() -> None:
    victim = victim_of("softmax", "iris")
    quota = defense_of(
        "quota",
        "response@defense.quota.response=adaptive_misinformation",
        "defense.quota.monitor.limit=50",
    )
    point = last(victim, quota, "sybil", 150, 0, "attack@attack.attack=equation_solving")
    assert point.metrics["fidelity_uniform"] == 1
    assert point.metrics["parameter_error"] < 1e-6


def test_a_model_is_refuted_that_has_other_answers() -> None:
    victim = victim_of("softmax", "wine")
    target, bought = asked(victim, defense_of("dawn"))

    def other(x: Array) -> Reply:
        return victim.predict(x[:, ::-1])

    refuting = Refuting(target, bought, np.random.default_rng(0))
    assert refuting(other)
    assert not Refuting(replace(target, known=Known(None, None)), bought, np.random.default_rng(0))(
        other
    )


def test_who_does_not_know_the_defense_goes_by_the_gate() -> None:
    for seed in range(3):
        victim = victim_of("softmax", "iris", seed=seed)
        target, bought = asked(victim, misinforming(), 150, seed)
        standing = StandingEquations(target.api.card, target.pool)(bought)
        assert standing is not None
        found = standing.surrogate
        assert found.parameters
        x = victim.shares.x_test
        np.testing.assert_array_equal(found.predict(x).labels, victim.predict(x).labels)


def test_answers_of_one_model_as_told_speak_for_no_rule() -> None:
    for rule in (Tempered(), Turned()):
        point = last(
            victim_of("softmax", "iris"), rule, "inversion", 80, 0, "attack.knowledge=none"
        )
        assert "undone" not in point.note
        assert "speak for no known perturbation" in point.note


class Leaving(Tempered):
    """Offers an inverse that knows no answer."""

    def inverse(self, told: Origins, guess: Array | None) -> Origins:
        return told.take(np.zeros(0, np.intp))


class Raising(Tempered):
    """Offers an inverse that fails."""

    def inverse(self, told: Origins, guess: Array | None) -> Origins:
        raise KeyError("tau")


class Silent(Tempered):
    """Offers an inverse that returns nothing."""

    def inverse(self, told: Origins, guess: Array | None) -> None:
        return


def test_a_few_answers_speak_for_no_rule() -> None:
    for queries in (2, 3):
        point = last(
            victim_of("softmax", "wine"),
            defense_of("shuffle"),
            "inversion",
            queries,
            0,
            "attack.knowledge=none",
        )
        assert "undone" not in point.note


def test_answers_without_an_origin_are_not_said_to_be_whole_numbers() -> None:
    point = last(victim_of("softmax", "iris"), Leaving(), "inversion", 80)
    assert point.note.startswith("labels: no confidences came; Leaving undone")


@pytest.mark.parametrize(
    ("rule", "line"),
    [(Raising(), r"Raising\.inverse raised KeyError: 'tau'"), (Silent(), "must return Origins")],
)
def test_an_inverse_that_fails_is_named(rule: Defense, line: str) -> None:
    with pytest.raises(RuntimeError, match=line):
        last(victim_of("softmax", "iris"), rule, "inversion", 20)


def test_where_bounds_are_left_nothing_is_said_to_be_solved() -> None:
    point = last(victim_of("softmax", "iris"), defense_of("modelguard_w"), "inversion", 7)
    assert not point.parameters
    assert not point.note.startswith("solved")

"""A run tells on itself: crafted bad parts raise a flag each, the shipped ones none on iris."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from omegaconf import DictConfig
from shop import defense_of

from moatbench.attack import Attack, Target
from moatbench.attacks.equation_solving import EquationSolving
from moatbench.attacks.top1 import Top1
from moatbench.client import Surrogate
from moatbench.compose.build import build_defense, build_victim, instantiate, options
from moatbench.defense import Defense, Evidence
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.mad import MAD
from moatbench.defenses.noise import Noise
from moatbench.defenses.random_labels import RandomLabels
from moatbench.defenses.rounding import Rounding
from moatbench.inverses.origins import Origins
from moatbench.randomness import stream
from moatbench.record import marks
from moatbench.record.flag import INVALID, Flag, gravest
from moatbench.reply import Reply
from moatbench.runner.checks import doubts as inversions
from moatbench.runner.checks import flags
from moatbench.runner.checks.selfcheck import of_layers
from moatbench.runner.checks.standing import stand_of
from moatbench.stack import Stack
from moatbench.strategies.first_applicable import FirstApplicable
from moatbench.strategies.retraining import Trainer
from moatbench.strategies.wrapper import Wrapper
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim

Compose = Callable[..., DictConfig]


def check(victim: Victim, defense: Defense) -> list[str]:
    return [flag.text for flag in of_layers(victim, {"d": defense}, 0)[0]]


# ---- a defense that is not what it declares ----------------------------------------------


@dataclass
class Tilted(Defense):
    """Meant to tilt by `strength`, it tilts by a little more."""

    strength: float = 1.0
    slip: float = 0.0
    harmless: ClassVar[dict[str, Any]] = {"strength": 0.0}

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        uniform = np.full_like(reply.outputs, 1 / reply.outputs.shape[1])
        share = min(1.0, 0.5 * self.strength + self.slip)
        return reply.with_outputs((1 - share) * reply.outputs + share * uniform)


class Wavering(Defense):
    """Keeps no account of it, and answers each query differently."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._rng = rng

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        noisy = reply.outputs + self._rng.uniform(0, 0.1, reply.outputs.shape)
        return reply.with_outputs(noisy / noisy.sum(axis=1, keepdims=True))


class KeyedByName(Wavering):
    """Says that a key and the row decide."""

    traits = Traits({"noisy"}, noise=NoiseModel("keyed"))


class FreshByName(Tilted):
    """Says that it draws anew each time."""

    traits = Traits({"noisy"}, noise=NoiseModel("fresh", "gaussian", 0.1))


class Alarmed(Wavering):
    """Answers otherwise once the account is in alarm, which is from its first query."""

    def __init__(self) -> None:
        self._alarms: dict[str, int] = {}

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        self._alarms[account] = 1
        return super().respond(x, reply, account)

    def evidence(self) -> Evidence:
        return Evidence(self._alarms)


class Crashing(Defense):
    """Somebody's mistake."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        raise ZeroDivisionError("no rows left")


def test_strength_zero_that_changes_answers_is_told(toy: Victim) -> None:
    (flag,) = check(toy, Tilted(slip=1e-6))
    assert flag == "d: at strength zero it is not the same as no defense: 100 of 100 rows differ"
    assert check(toy, Tilted()) == []


def test_a_deterministic_defense_that_varies_is_told(toy: Victim) -> None:
    (flag,) = check(toy, Wavering())
    assert (
        flag
        == "d: declared deterministic, it answered 100 % of 100 rows otherwise when asked again"
    )


def test_keyed_noise_that_varies_is_told(toy: Victim) -> None:
    (flag,) = check(toy, KeyedByName())
    assert "declared keyed" in flag


def test_fresh_noise_that_never_varies_is_told(toy: Victim) -> None:
    (flag,) = check(toy, FreshByName())
    assert flag == "d: declared fresh noise, it answered 100 rows the same when asked again"


@dataclass
class Inverted(Tilted):
    """Says how it is undone, and turns the classes by some places."""

    turn: int = 0
    traits = Traits({"perturbs"})

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        share = min(1.0, 0.5 * self.strength + self.slip)
        true = np.roll((told.low - share / told.k) / (1 - share), self.turn, axis=1)
        possible = np.asarray((true > -1e-9).all(axis=1))
        return told.moved(true, true, possible, np.arange(len(true)))


def test_a_false_inverse_is_told(toy: Victim) -> None:
    """An attacker who believes it would find a wall where there is none."""
    assert check(toy, Inverted()) == []
    (flag,), _ = of_layers(toy, {"d": Inverted(turn=1)}, 0)
    assert flag.grade == INVALID
    assert flag.mark == "false inverse"
    assert flag.text == "d: the truth is not among what its inverse says of 100 of 100 answers"


def test_what_an_alarm_changes_is_no_variation(toy: Victim) -> None:
    found, seen = of_layers(toy, {"d": Alarmed()}, 0)
    assert found == []
    assert seen["d"]["rows"] == 0


def test_a_check_that_fails_is_told_and_stops_nothing(toy: Victim) -> None:
    found, seen = of_layers(toy, {"bad": Crashing(), "good": Tilted()}, 0)
    assert found == [Flag("A", "bad: the self-check failed: ZeroDivisionError: no rows left")]
    assert (seen["bad"], seen["good"]["rows"]) == ({}, 100)


def test_each_layer_of_a_stack_is_checked(toy: Victim) -> None:
    stack = Stack({"a": Tilted(slip=0.1), "b": Wavering()})
    assert [flag.text[0] for flag in of_layers(toy, stack.layers, 0)[0]] == ["a", "b"]


def test_the_check_of_one_seed_says_the_same_twice(toy: Victim) -> None:
    one, two = (of_layers(toy, {"d": KeyedByName()}, 3) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("name", [n for n in options("defense") if n != "none"])
def test_no_shipped_defense_is_flagged(name: str, composed: Compose) -> None:
    """On iris, or, where a defense needs two classes, on breast_cancer."""
    for data, model in (("iris", "softmax"), ("breast_cancer", "logistic")):
        cfg = composed(f"data={data}", f"victim={model}", f"defense={name}", "cache=null")
        victim = build_victim(cfg, instantiate(cfg.data), 0)
        defense = build_defense(cfg.defense)
        try:
            defense.deploy(victim, stream(0, "defense"))
        except ValueError:
            continue
        found, seen = of_layers(victim, {name: defense}, 0)
        keyed = defense.traits.noise is not None and defense.traits.noise.mode == "keyed"
        assert [flag.grade for flag in found] == ["C"] * keyed
        assert list(seen) == [name]
        return
    pytest.fail(f"{name} stands on neither")


# ---- curves that cannot be what they seem ------------------------------------------------

RIGHT = np.ones(400, dtype=bool)


def hit(wrong: int, n: int = 400) -> Any:
    """(n,) hits, the first `wrong` of which are none."""
    return np.arange(n) >= wrong


@dataclass(frozen=True)
class Player(Trainer):
    """Never runs: its curve is given."""

    answers: str = "confidences"
    tag: int = 0

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        raise NotImplementedError


@dataclass(frozen=True)
class OnLabels(Wrapper):
    """Runs another attack, and shows it labels alone."""

    attack: Attack = field(default_factory=Player)
    labels_only: ClassVar[bool] = True

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        raise NotImplementedError


@dataclass(frozen=True)
class Seer(Player):
    """Shown the victim."""

    oracle: ClassVar[bool] = True


def curve(*queries: int, **row: Any) -> list[dict[str, Any]]:
    usual = {"converged": 1, "honest_label_agreement": 1.0, "fidelity_test": 0.9}
    return [{"queries": q, **usual, **row} for q in queries]


def test_a_fall_beyond_the_sampling_error_is_told() -> None:
    right = {"a": [hit(100), hit(20), hit(60)]}
    (flag,) = inversions.more_queries_gave_less(right, {"a": curve(10, 20, 50)})
    assert flag.text == "a: more queries gave less: 95.0 % at 20 queries, 85.0 % at 50"


@pytest.mark.parametrize(("more", "told"), [(8, False), (9, True)])
def test_a_fall_needs_three_standard_errors_of_the_paired_difference(more: int, told: bool) -> None:
    """Of n rows m lost and none won: m/n > 3 sqrt(m (1 - m/n) / n (n-1)), or m > 9 n / (n + 8)."""
    assert inversions.exceeds(hit(0), hit(more)) is told


@pytest.mark.parametrize(("more", "told"), [(40, False), (41, True)])
def test_a_fall_needs_more_than_a_percentage_point(more: int, told: bool) -> None:
    assert inversions.exceeds(hit(0, 4000), hit(more, 4000)) is told


def test_rows_won_and_lost_at_once_are_noise() -> None:
    """30 lost and 10 won are a gap of 5 points, and 20 / sqrt(40) = 3.2 errors; 16 won are not."""
    before = hit(0)
    before[:10] = False
    after = hit(0)
    after[10:40] = False
    assert inversions.exceeds(before, after)
    before[:10], before[40:56] = True, False
    assert not inversions.exceeds(before, after)


def test_a_rising_curve_is_no_flag() -> None:
    assert inversions.more_queries_gave_less({"a": [hit(60), hit(20)]}, {"a": curve(1, 2)}) == []


def test_an_attack_below_its_twin_on_labels_is_told() -> None:
    attacks = {"full": Player(), "top1_full": OnLabels(attack=Player()), "other": Player(tag=1)}
    ends = {"full": [hit(80)], "top1_full": [hit(20)], "other": [hit(10)]}
    (flag,) = inversions.more_information_gave_less(attacks, ends)
    assert flag.text.startswith("full: more information gave less: 80.0 %, and top1_full")
    assert flag.text.endswith("the defense broke the optimiser, not the leak")


def test_the_best_on_confidences_below_the_best_on_labels_is_told_once() -> None:
    attacks = {"full": Player(), "labels": Player("labels"), "top1": OnLabels(attack=Player())}
    ends = {"full": [hit(80)], "labels": [hit(90)], "top1": [hit(20)]}
    assert len(inversions.more_information_gave_less(attacks, ends)) == 1


def test_an_oracle_does_not_vouch_for_the_confidences() -> None:
    attacks = {"full": Player(), "seer": Seer(), "labels": Player("labels")}
    ends = {"full": [hit(80)], "seer": [RIGHT], "labels": [hit(20)]}
    assert len(inversions.more_information_gave_less(attacks, ends)) == 1


def test_without_confidences_nothing_is_compared() -> None:
    attacks = {"full": Player(), "labels": Player("labels")}
    ends = {"full": [hit(80)], "labels": [hit(20)]}
    curves = {"full": curve(1), "labels": curve(1)}
    told = flags.of_run(attacks, Defense(), curves, ends, confidences=False)
    assert told == []
    assert len(flags.of_run(attacks, Defense(), curves, ends, confidences=True)) == 1


def test_an_attack_that_saw_the_victim_is_an_upper_bound_if_it_ran() -> None:
    attacks = {"seer": Seer(), "absent": Seer()}
    told = flags.of_run(attacks, Defense(), {"seer": curve(1)}, {"seer": [RIGHT]}, confidences=True)
    line = "upper bound: seer saw the victim itself"
    assert told == [Flag("B", line, "upper bound", "seer")]


def test_what_had_not_converged_is_told_with_its_queries() -> None:
    rows = [*curve(10), *curve(20, converged=0)]
    (flag,) = flags.unconverged({"a": rows})
    assert flag.text == "a: not converged at 20 queries"


@pytest.mark.parametrize("key", ["honest_label_agreement", "shifted_label_agreement"])
def test_a_broken_promise_to_keep_labels_is_told(key: str) -> None:
    curves = {"a": curve(1), "b": curve(1, **{key: 0.98})}
    (flag,) = flags.labels_changed(Defense(), curves)
    assert flag.endswith("the defense kept 98.00 % of honest customers' labels, under b")


@pytest.mark.parametrize("key", ["honest_top_agreement", "shifted_top_agreement"])
def test_a_top_confidence_that_contradicts_the_label_is_told(key: str) -> None:
    (flag,) = flags.labels_changed(Defense(), {"a": curve(1, **{key: 0.25})})
    assert "told the victim's label with the top confidence in 25.00 % of honest cust" in flag
    assert flags.labels_changed(Defense(), {"a": curve(1, **{key: 1.0})}) == []


def test_nobody_promised_what_noise_breaks() -> None:
    class Noisy(Defense):
        traits = Traits({"noisy"}, keeps_labels=False)

    assert flags.labels_changed(Noisy(), {"a": curve(1, honest_label_agreement=0.9)}) == []
    nothing = {"a": curve(1, honest_label_agreement=float("nan"))}
    assert flags.labels_changed(Defense(), nothing) == []


# ---- who was made for the defense --------------------------------------------------------


class AgainstNoise(Player):
    """Made for noise, and for monitors."""

    against = frozenset({"noisy", "watches"})


class AgainstSteps(Player):
    """Made for rounded answers."""

    against = frozenset({"quantises"})


def test_an_attack_is_aware_of_the_kinds_that_it_is_against_if_it_ran() -> None:
    attacks = {"a": AgainstNoise(), "b": AgainstSteps()}
    stack = Stack({"noise": Noise("gaussian", 0.1, "fresh", 1e-6), "mine": Rounding(2)})
    assert flags.aware(attacks, stack, {"a", "b"}) == {"a": ["noisy"], "b": ["quantises"]}
    assert flags.aware(attacks, stack, {"b"}) == {"b": ["quantises"]}
    assert flags.aware(attacks, LabelOnly(), {"a", "b"}) == {}


class Temperature(Defense):
    """A stranger's, that says nothing of itself."""


class Cooled(Temperature):
    """A stranger's, that says what it does."""

    traits = Traits({"perturbs"})


def test_a_defense_counts_by_what_it_says_of_itself_and_not_by_its_name() -> None:
    def is_naive(name: str, defense: Defense, attack: Attack) -> bool:
        made_for = flags.aware({"a": attack}, defense, {"a"})
        return bool(marks.unmet(flags.kinds({name: defense}), [made_for]))

    solving, top = EquationSolving(intervals=True), Top1(Player())
    assert not is_naive("coarse", Rounding(2), solving)
    assert is_naive("rounding", Temperature(), solving)
    assert is_naive("rounding", Cooled(), solving)
    assert not is_naive("rounding", Cooled(), top)
    assert not is_naive("log", Defense(), solving)
    assert not is_naive("control", RandomLabels(1e-6), solving)


def test_one_who_is_made_against_being_watched_meets_no_response() -> None:
    prada = {"prada": ["refuses", "remembers", "watches"]}
    assert not marks.unmet(prada, [{"a": ["watches"]}])
    assert marks.unmet(prada, [{"a": ["refuses"]}])


# ---- how a run shows it ------------------------------------------------------------------


def test_a_stack_is_naive_until_each_layer_met_an_attack_made_for_it() -> None:
    kinds = {"prada": ["watches"], "mad": ["relabels"]}
    assert marks.unmet(kinds, [{"a": ["relabels"]}])
    assert not marks.unmet(kinds, [{"a": ["relabels"]}, {"b": ["watches"]}])
    assert not marks.unmet({}, [])


@pytest.mark.usefixtures("tracked")
def test_flags_stand_in_the_summary_and_the_marks_in_mlflow(
    moatbench: Callable[..., tuple[int, str, str]],
) -> None:
    from mlflow import MlflowClient

    few = "checkpoints=[2,40]"
    status, _, err = moatbench("data=iris", "defense=rounding", "attack=uniform_retraining", few)
    assert status == 0, err
    (found,) = (json.loads(f.read_text()) for f in Path("runs").glob("*/*/summary.json"))
    client = MlflowClient(f"sqlite:///{Path.cwd()}/runs/mlflow.db")
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.data.tags["grade"] == "B"
    assert run.data.tags["marks"] == "B: naive only"
    assert found["marks"] == ["B: naive only", "C: one seed", "C: one strength"]
    assert found["repeated"]["rounding"]["varied"] == 0.0
    note = run.data.tags["mlflow.note.content"]
    assert all(f"- flag: {flag['grade']}: {flag['text']}" in note for flag in found["flags"])


# ---- grades ------------------------------------------------------------------------------


def grades(curves: dict[str, list[dict[str, Any]]], **hits: list[Mask]) -> dict[str, str]:
    """What of_run says of attacks, each with its grade."""
    attacks = {name: Player(tag=n) for n, name in enumerate(curves)}
    found = flags.of_run(attacks, Defense(), curves, hits, confidences=True)
    return {f"{flag.attack}: {flag.words}": flag.grade for flag in found}


BEST, LATE = curve(10, 20, fidelity_test=0.95), {"fidelity_test": 0.95, "converged": 0}


def test_only_the_worst_attack_bounds_a_run_and_only_at_the_budget() -> None:
    other = curve(10, 20, converged=0)
    assert grades({"best": BEST, "other": other}) == {"other: not converged": "C"}
    early = [*curve(10, **LATE), *curve(20, fidelity_test=0.95)]
    assert grades({"best": early}) == {"best: not converged earlier": "C"}
    assert grades({"best": curve(10, 20, **LATE)}) == {"best: not converged": "B"}


def test_of_equals_one_that_converged_vouches_and_nothing_is_above_the_victim() -> None:
    late = curve(10, 20, **LATE)
    assert grades({"late": late, "best": BEST}) == {"late: not converged": "C"}
    whole = curve(10, 20, **{**LATE, "fidelity_test": 1.0})
    assert grades({"whole": whole}) == {"whole: not converged": "C"}


def test_not_begun_is_a_state_of_its_own() -> None:
    buying = [*curve(10, begun=0, converged=0), *curve(20, fidelity_test=0.95)]
    assert grades({"tuned": buying}) == {"tuned: not begun earlier": "C"}
    blank = curve(10, 20, begun=0, converged=0)
    assert grades({"tuned": blank}) == {"tuned: not begun": "B"}
    assert grades({"tuned": blank, "best": BEST}) == {"tuned: not begun": "C"}


def test_a_curve_that_fell_by_the_budget_bounds_the_run_that_it_stands_for() -> None:
    curves = {"best": curve(10, 20, 50, fidelity_test=0.95)}
    assert grades(curves, best=[hit(20), hit(20), hit(80)]) == {"best: fell by the budget": "B"}
    assert grades(curves, best=[hit(20), hit(80), hit(20)]) == {"best: fell earlier": "C"}


def test_labels_that_gave_more_bound_the_run_where_they_are_the_worst() -> None:
    attacks = {"full": Player(), "top1": OnLabels(attack=Player()), "other": Player(tag=1)}
    ends = {"full": [hit(80)], "top1": [hit(20)], "other": [hit(10)]}
    curves = {n: curve(1, fidelity_test=float(h[0].mean())) for n, h in ends.items()}
    (flag,) = flags.of_run(attacks, Defense(), curves, ends, confidences=True)
    assert (flag.grade, flag.words) == ("C", "labels gave more")
    del curves["other"], ends["other"]
    (flag,) = flags.of_run(attacks, Defense(), curves, ends, confidences=True)
    assert flag.grade == "B"


def test_an_order_of_stages_that_is_not_the_usual_one_is_invalid() -> None:
    stack = {"rounding": Rounding(2), "noise": Noise("gaussian", 0.1, "fresh", 1e-6)}
    found = {(flag.grade, flag.words) for flag in flags.of_defense(stack, {})}
    assert ("A", "order of stages") in found
    usual = dict(reversed(stack.items()))
    assert gravest(flags.of_defense(usual, {"a": ["quantises", "noisy"]})) == "C"


@pytest.mark.parametrize("name", ["bdpl", "dawn", "edm", "grid", "prada", "hoda", "rounding"])
def test_one_strength_is_said_of_all_that_a_sweep_of_strengths_knows(name: str) -> None:
    said = [f.text for f in flags.of_defense({name: defense_of(name)}, {}) if "strength" in f.text]
    assert len(said) == 1


# ---- what is only said, where it can be checked ------------------------------------------


@dataclass(frozen=True)
class Aware(OnLabels):
    """Says that it is made against monitors, and runs another."""

    labels_only: ClassVar[bool] = False
    against = frozenset({"watches"})


def test_an_attack_that_says_it_is_aware_and_gains_nothing_is_told() -> None:
    attacks: dict[str, Attack] = {"aware": Aware(attack=Player()), "twin": Player()}
    told = inversions.awareness_gave_nothing
    (flag,) = told(attacks, {"watches"}, {"aware": [hit(80)], "twin": [hit(20)]})
    assert (flag.grade, flag.words, flag.attack) == ("B", "gained nothing", "aware")
    (flag,) = told(attacks, {"watches"}, {"aware": [hit(20)], "twin": [hit(20)]})
    assert flag.grade == "C"
    assert told(attacks, {"watches"}, {"aware": [hit(20)], "twin": [hit(80)]}) == []
    assert told(attacks, {"noisy"}, {"aware": [hit(80)], "twin": [hit(20)]}) == []
    assert told(attacks, {"watches"}, {"aware": [hit(2)], "twin": [hit(2)]}) == []


def test_one_that_runs_the_first_that_applies_is_compared_with_that() -> None:
    several = FirstApplicable({"idle": Player(tag=1), "twin": Player(), "last": Player(tag=2)})
    attacks: dict[str, Attack] = {
        "last": Player(tag=2),
        "twin": Player(),
        "idle": Player(tag=1),
        "aware": Aware(attack=several),
    }
    ran = {"aware": [hit(80)], "twin": [hit(20)], "last": [hit(300)]}
    (flag,) = inversions.awareness_gave_nothing(attacks, {"watches"}, ran)
    assert flag.text.endswith("80.0 %, and twin alone 95.0 %")


def test_a_fit_that_says_it_converged_and_moves_with_twice_the_steps_is_told() -> None:
    def surrogate(twice: Mask, converged: bool = True) -> Surrogate:
        return Surrogate(toy_predict, converged=converged, doubled=lambda: (hit(80), twice))

    def moved(made: Surrogate) -> list[Flag]:
        found = inversions.doubled(made)
        return inversions.more_steps_gave_other({"a": found} if found else {})

    (flag,) = moved(surrogate(hit(20)))
    assert flag.text == (
        "a: said to have converged, but twice the steps move it from 80.0 % to 95.0 % of 400 "
        "held-out purchases"
    )
    assert moved(surrogate(hit(80))) == []
    assert moved(surrogate(hit(20), converged=False)) == []
    assert moved(Surrogate(toy_predict)) == []


def toy_predict(x: Array) -> Reply:
    return Reply(np.zeros(len(x), np.int64))


def test_an_attack_that_was_not_isolated_bounds_the_run_that_it_stands_for() -> None:
    attacks: dict[str, Attack] = {"open": Player(), "other": Player(tag=1)}
    told = [Flag("B", "open: not isolated: it cannot be sent", "not isolated", "open")]

    def grade(**fidelity: float) -> list[str]:
        curves = {name: curve(10, fidelity_test=f) for name, f in fidelity.items()}
        found = flags.of_run(attacks, Defense(), curves, {}, confidences=True, told=told)
        return [flag.grade for flag in found]

    assert grade(open=1.0, other=0.9) == ["B"]
    assert grade(open=1.0, other=1.0) == grade(open=0.8, other=0.9) == ["C"]


# ---- equations left standing -------------------------------------------------------------


def test_confidences_that_keep_their_odds_are_counted() -> None:
    """Of four answers: all, three, a pair, none."""
    true = np.tile([0.4, 0.3, 0.2, 0.1], (4, 1))
    told = np.array(
        [
            [0.4, 0.3, 0.2, 0.1],
            [0.7, 0.15, 0.1, 0.05],
            [0.5, 0.3, 0.15, 0.05],
            [0.3, 0.35, 0.2, 0.15],
        ]
    )
    told[2, :2] = true[2, :2]
    counts, most = stand_of(true, told)
    assert counts.tolist() == [4, 3, 2, 0]
    assert most.tolist() == [4] * 4


def test_the_check_of_a_perturbation_says_what_stands(toy: Victim) -> None:
    _, seen = of_layers(toy, {"mad": MAD(0.5, False)}, 0)
    k = len(toy.classes)
    assert (seen["mad"]["standing"], seen["mad"]["entries"]) == (k - 1 if k > 2 else 0, k)

"""The contract catches broken parts: each of these breaks one promise, and is told which."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from moatbench import testing
from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense, Evidence, Marks
from moatbench.learners.published import ignorant
from moatbench.learners.purchases import Purchases
from moatbench.monitor import Monitor
from moatbench.reply import Reply, from_outputs
from moatbench.traits import AnswerGrid, NoiseModel, Traits
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim


@dataclass
class Sound(Attack):
    """Keeps the contract: asks at random, and learns the share of each class."""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api, pool = target.api, target.pool
        bought = Purchases(api.card)
        for checkpoint in api.checkpoints:
            bought.add(self.ask(api, pool, checkpoint - api.queries, rng))
            yield self.steal(api, bought)

    def ask(self, api: PredictionAPI, pool: Array, n: int, rng: Generator) -> Any:
        return api.query(api.card.space.sample(n, rng))

    def steal(self, api: PredictionAPI, bought: Purchases) -> Surrogate:
        return ignorant(api.card, bought.labels)


class Thief(Sound):
    """Climbs over the fence."""

    def ask(self, api: PredictionAPI, pool: Array, n: int, rng: Generator) -> Any:
        api._MeteredAPI__deployment.victim.predict(pool[:5])  # type: ignore[attr-defined]
        return super().ask(api, pool, n, rng)


class Vandal(Sound):
    """Scales the pool in place."""

    def ask(self, api: PredictionAPI, pool: Array, n: int, rng: Generator) -> Any:
        pool *= 0.5
        return super().ask(api, pool, n, rng)


class Moody(Sound):
    """Keeps state in the object, so that the second run is another."""

    runs = 0

    def steal(self, api: PredictionAPI, bought: Purchases) -> Surrogate:
        self.runs += 1
        return Surrogate(lambda x: Reply(np.arange(len(x)) // self.runs % 3))


class NeedsAnswers(Sound):
    """Divides by the number of answers."""

    def steal(self, api: PredictionAPI, bought: Purchases) -> Surrogate:
        1 // len(bought)
        return super().steal(api, bought)


class NeedsOutputs(Sound):
    """Does not expect an answer without confidences."""

    def steal(self, api: PredictionAPI, bought: Purchases) -> Surrogate:
        if np.isnan(bought.outputs).any():
            raise np.linalg.LinAlgError("SVD did not converge")
        return super().steal(api, bought)


class Early(Sound):
    """Yields one query short of its checkpoint."""

    def ask(self, api: PredictionAPI, pool: Array, n: int, rng: Generator) -> Any:
        return super().ask(api, pool, n - 1, rng)


class NoModel(Sound):
    """Yields a surrogate whose probabilities are none."""

    def steal(self, api: PredictionAPI, bought: Purchases) -> Surrogate:
        return Surrogate(lambda x: from_outputs(np.ones((len(x), 3))))


class Choosy(Sound):
    """Needs a family that no victim is of."""

    needs = Needs(families=frozenset({"oracle"}))


def test_a_sound_attack_passes(toy: Victim) -> None:
    assert testing.check_attack(toy, Sound()) == ""


@pytest.mark.parametrize(
    ("attack", "charge"),
    [
        (Thief(), r"25 rows reached the victim, 20 were metered"),
        (Vandal(), r"Vandal writes to an array that it was given"),
        (
            Moody(),
            r"the same seed drew another curve; at 20 queries differ accuracy, fidelity_defended",
        ),
        (NeedsAnswers(), r"NeedsAnswers against RefuseAll raised ZeroDivisionError"),
        (NeedsOutputs(), r"NeedsOutputs against TellLabels raised LinAlgError: SVD"),
        (Early(), r"Early against Defense raised BrokenAttack: Early yielded at 19 queries"),
        (NoModel(), "NoModel against Defense raised BrokenAttack: on rows that nobody"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Attack) else "",
)
def test_a_broken_attack_is_told_what_it_broke(toy: Victim, attack: Attack, charge: str) -> None:
    with pytest.raises(AssertionError, match=charge):
        testing.check_attack(toy, attack)


def test_an_attack_that_does_not_apply_is_skipped_with_a_reason(toy: Victim) -> None:
    reason = "needs a model of oracle; the victim's is softmax"
    assert testing.check_attack(toy, Choosy()) == reason
    assert testing.check_run(toy, Defense(), Choosy()) == reason


class Forgetless(Defense):
    """Its memory outlives its deployment."""

    asked = 0

    def admit(self, x: Array, account: str) -> Mask:
        self.asked += len(x)
        return np.full(len(x), self.asked < 300)


class Gossip(Defense):
    """One quota for all accounts."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.asked = 0

    def admit(self, x: Array, account: str) -> Mask:
        self.asked += len(x)
        return self.asked - len(x) + np.arange(len(x)) < 400


class Communist(Gossip):
    """One quota for all accounts, and says so."""

    traits = Traits({"refuses"}, shared=True, memory="counts")


class BatchMean(Defense):
    """Blends every row with the mean of its batch."""

    traits = Traits(keeps_labels=False)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return reply.with_outputs((reply.outputs + reply.outputs.mean(axis=0)) / 2)


class PerQuery(Defense):
    """Refuses the first row of each query, however it is batched."""

    def admit(self, x: Array, account: str) -> Mask:
        return np.arange(len(x)) > 0


class WritesOutputs(Defense):
    """Rounds in place."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        np.round(reply.outputs, 1, out=reply.outputs)
        return reply


class WritesRows(Defense):
    """Goes round the read-only view to snap the inputs to a grid."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        base = x.base
        assert isinstance(base, np.ndarray)
        base[:] = np.round(base, 1)
        return reply


@dataclass
class Answering(Defense):
    """Answers something else."""

    row: tuple[float, ...]
    traits = Traits({"truncates"})

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return reply.with_outputs(np.tile(self.row, (len(x), 1)))


class Unnormalised(Answering):
    """Does not sum to one, though it perturbs."""

    traits = Traits({"perturbs"})


class Relabels(Defense):
    """Changes a label, undeclared."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return replace(reply, labels=(reply.labels + (x[:, 0] > 0.5)) % 3)


class AnyLabel(Relabels):
    """Answers a class that there is not."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return replace(reply, labels=reply.labels + 3)


@dataclass
class Biased(Defense):
    """At a strength of zero it still does something."""

    strength: float
    harmless: ClassVar[Mapping[str, Any]] = {"strength": 0.0}

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return reply.with_outputs(reply.outputs * 0.9 + 0.1 / 3)


class Mute(Defense):
    """Documented to answer labels only, answers more."""

    traits = Traits({"withholds"}, confidences=False)


class Prophet(Defense):
    """Is alarmed before anybody has asked."""

    def evidence(self) -> Evidence:
        return Evidence({"alice": 0})


class Indices(Defense):
    """Returns the rows it admits, not a mask."""

    def admit(self, x: Array, account: str) -> Mask:
        return np.arange(len(x))  # type: ignore[return-value]


class Swallows(Defense):
    """Drops a row instead of refusing it."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return reply.take(np.arange(len(x)) > 0)


class Rewinds(Defense):
    """Waits less than nothing."""

    def wait(self, n: int, account: str) -> float:
        return -1.0


class Demanding(Defense):
    """Does not deploy in front of every victim."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        raise ValueError("needs a victim with hidden layers")


class Quantises(Defense):
    """Rounds, to other steps than it says."""

    traits = Traits({"quantises"}, answer_grid=AnswerGrid("decimals", 2))

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return reply.with_outputs(np.round(reply.outputs, 1))


class Gridless(Quantises):
    """Does not tell its steps."""

    traits = Traits({"quantises"})


class Fresh(Defense):
    """Says that it draws anew each time, and adds the same."""

    traits = Traits({"noisy"}, keeps_labels=False, noise=NoiseModel("fresh"), memory="counts")

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return from_outputs((reply.outputs + np.array([0.1, 0, 0])) / 1.1)


class TwoFaced(Defense):
    """Tells the victim's label, and beside it confidences that say another."""

    traits = Traits({"perturbs"})

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return reply.with_outputs(reply.outputs[:, ::-1].copy())


class Counting(Defense):
    """Says that it remembers nothing, and answers by how much was asked."""

    traits = Traits({"perturbs"})

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.asked: dict[str, int] = {}

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        asked = self.asked.get(account, 0)
        self.asked[account] = asked + len(x)
        share = 1 / (2 + asked + np.arange(len(x)))[:, None]
        return reply.with_outputs((1 - share) * reply.outputs + share / 3)


class Weighing(Defense):
    """Refuses an account after 140 rows of a kind, which no count of them all tells."""

    traits = Traits({"refuses", "remembers"}, memory="counts")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.weight: Counter[str] = Counter()

    def admit(self, x: Array, account: str) -> Mask:
        weight = self.weight[account] + np.cumsum(x[:, 0] > 0)
        self.weight[account] = int(weight[-1])
        return np.asarray(weight <= 140)


class Amnesiac(Defense):
    """Remembers, and keeps nothing."""

    traits = Traits({"remembers"})


class Keyless(Counting):
    """Says that a key and the row decide."""

    traits = Traits({"noisy"}, noise=NoiseModel("keyed"))


class Asleep(Defense):
    """Watches with no monitor."""

    traits = Traits({"watches"}, memory="rows")


class Awake(Defense):
    """Has a monitor that it does not speak of."""

    traits = Traits({"refuses"})
    monitors = (Monitor(),)


class Unmarked(Defense):
    """Says that it plants a watermark."""

    traits = Traits({"marks"})


class Planting(Defense):
    """Plants one that it does not speak of."""

    traits = Traits({"perturbs"})

    def evidence(self) -> Evidence:
        return Evidence(marks=Marks(np.empty((0, 4)), np.empty(0, np.int64), ()))


class Closed(Defense):
    """Refuses rows that it does not speak of."""

    traits = Traits({"perturbs"})

    def admit(self, x: Array, account: str) -> Mask:
        return np.asarray(x[:, 0] > 0)


class Slow(Defense):
    """Lets clients wait, and does not say so."""

    traits = Traits({"perturbs"})

    def wait(self, n: int, account: str) -> float:
        return float(n)


class Meddling(Biased):
    """Says that it refuses, and changes confidences."""

    traits = Traits({"refuses"})
    harmless = None  # type: ignore[assignment]


class Silent(Defense):
    """Says that it perturbs, and tells no confidences of some rows."""

    traits = Traits({"perturbs"})

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return reply.with_outputs(np.where(x[:, :1] > 0, np.nan, reply.outputs))


class OffGrid(Defense):
    """Says that it moves inputs to a grid, and does not."""

    traits = Traits({"moves_inputs"}, keeps_labels=False, input_grid=0.5)


class TwoTongues(Defense):
    """Relabels, and keeps the labels."""

    traits = Traits({"relabels"})


class Lawless(Biased):
    """Says that it is noisy, and nothing of its noise."""

    traits = Traits({"noisy"})
    harmless = None  # type: ignore[assignment]


class Talkative(Biased):
    """Says that it withholds confidences, and only changes them."""

    traits = Traits({"withholds"})
    harmless = None  # type: ignore[assignment]


LIARS: list[tuple[Defense, str]] = [
    (Quantises(), "and its answers have other steps"),
    (Gridless(), "says quantises, and no answer_grid"),
    (Fresh(), "says that its noise is fresh, and answers the same"),
    (Counting(), "says memory none, and answers a row otherwise"),
    (Keyless(), "says memory none, and answers a row otherwise"),
    (Amnesiac(), "says remembers, and memory none"),
    (Weighing(), "says memory=counts, and answers otherwise when that is all it has of the past"),
    (Asleep(), "says watches, and has no monitor"),
    (Awake(), "Awake has a monitor; it must say watches, and says refuses"),
    (Unmarked(), "says marks, and its evidence tells of none"),
    (Planting(), "Planting plants a watermark; it must say marks"),
    (Closed(), "Closed refuses rows; it must say refuses, and says perturbs"),
    (Slow(), "Slow makes alice wait; it must say costs"),
    (Meddling(1.0), "Meddling changes confidences; it must say moves_inputs or perturbs"),
    (Silent(), "leaves rows without confidences; it must say withholds or truncates"),
    (OffGrid(), "says input_grid=0.5, and answers other rows"),
    (Lawless(1.0), "says noisy, and noise=None"),
    (Talkative(1.0), "says withholds, and tells the confidences of every row"),
    (TwoTongues(), "says relabels or tells_nothing, and keeps_labels"),
]


@pytest.mark.parametrize(("defense", "charge"), LIARS, ids=lambda v: type(v).__name__)
def test_a_defense_that_is_not_what_it_says_is_told(
    toy: Victim, defense: Defense, charge: str
) -> None:
    with pytest.raises(AssertionError, match=charge):
        testing.check_defense(toy, defense)


def test_an_api_that_takes_partial_inputs_against_its_word_is_told(toy: Victim) -> None:
    class Whole(Defense):
        traits = Traits({"refuses"}, partial=False)

    victim = replace(toy, predict=lambda x: toy.predict(np.nan_to_num(x)), partial=True)
    with pytest.raises(AssertionError, match="says partial=False, and answers rows"):
        testing.check_defense(victim, Whole())


def test_sound_defenses_pass(toy: Victim) -> None:
    for defense in (Defense(), Communist(), *testing.HARSH):
        assert testing.check_defense(toy, defense) == ""


@pytest.mark.parametrize(
    ("defense", "charge"),
    [
        (Forgetless(), "deployed afresh on the same rng, it answers otherwise"),
        (Gossip(), "mallory's queries changed alice's answers"),
        (BatchMean(), "in batches of 1, it answers otherwise"),
        (PerQuery(), "in batches of 1, it answers otherwise"),
        (WritesOutputs(), "WritesOutputs writes to an array that it was given"),
        (WritesRows(), "WritesRows wrote to the rows of a query"),
        (Answering((1.2, -0.2, 0.0)), r"outside \[0, 1\]"),
        (Answering((np.inf, 0.0, 0.0)), r"outside \[0, 1\]"),
        (Answering((np.nan, 0.5, 0.5)), "a row is told, or all NaN"),
        (Unnormalised((0.2, 0.2, 0.2)), "does not sum to one"),
        (Relabels(), "says keeps_labels, and changed"),
        (TwoFaced(), "says keeps_labels, and told another class with more confidence"),
        (AnyLabel(), "of 3 classes"),
        (Biased(1.0), "is not the same as no defense"),
        (Mute(), "says confidences=False, and tells some"),
        (Prophet(), "first alarm at query 0"),
        (Indices(), "returned int64 of shape"),
        (Swallows(), "was given 64 rows, and returned 63 labels"),
        (Rewinds(), "makes time run backwards"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Defense) else "",
)
def test_a_broken_defense_is_told_what_it_broke(toy: Victim, defense: Defense, charge: str) -> None:
    with pytest.raises(AssertionError, match=charge):
        testing.check_defense(toy, defense)


def test_a_defense_may_answer_what_does_not_sum_to_one_where_it_minimises(toy: Victim) -> None:
    assert testing.check_defense(toy, Answering((0.2, 0.2, 0.2))) == ""


def test_a_defense_that_cannot_be_deployed_is_skipped_with_its_reason(toy: Victim) -> None:
    assert testing.check_defense(toy, Demanding()) == "needs a victim with hidden layers"
    assert testing.check_run(toy, Demanding(), Sound()) == "needs a victim with hidden layers"


def test_a_regression_victim_answers_any_finite_value(toy: Victim) -> None:
    shares = replace(toy.shares, classes=("value",), y_test=np.zeros(len(toy.shares.x_test), int))

    def value(x: Array) -> Reply:
        return Reply(np.zeros(len(x), np.int64), 40 * x[:, :1])

    victim = replace(toy, shares=shares, predict=value)
    assert testing.check_victim(victim) == testing.check_defense(victim, Defense()) == ""
    with pytest.raises(AssertionError, match="no value"):
        testing.check_defense(victim, Answering((np.inf,)))


def test_a_victim_that_tells_of_some_classes_may_sum_to_less_than_one(toy: Victim) -> None:
    def top(x: Array) -> Reply:
        outputs = sound(toy, x)
        return toy.predict(x).with_outputs(outputs * (outputs == outputs.max(1, keepdims=True)))

    victim = replace(toy, predict=top, full=False)
    assert testing.check_victim(victim) == testing.check_defense(victim, Defense()) == ""
    with pytest.raises(AssertionError, match="does not sum to one at most"):
        testing.check_defense(victim, Unnormalised((0.5, 0.5, 0.2)))


def sound(toy: Victim, x: Array) -> Array:
    outputs = toy.predict(x).outputs
    assert outputs is not None
    return outputs


def test_a_sound_victim_passes(toy: Victim) -> None:
    assert testing.check_victim(toy) == ""


def test_a_victim_of_labels_only_passes(toy: Victim) -> None:
    labels = replace(toy, predict=lambda x: Reply(toy.predict(x).labels))
    assert testing.check_victim(labels) == ""
    assert testing.check_defense(labels, Defense()) == ""


def test_a_victim_that_answers_otherwise_the_second_time_is_caught(toy: Victim) -> None:
    rng = np.random.default_rng(0)

    def noisy(x: Array) -> Reply:
        outputs = sound(toy, x) + rng.uniform(0, 1e-9, (len(x), 3))
        return from_outputs(outputs / outputs.sum(axis=1, keepdims=True))

    with pytest.raises(AssertionError, match="asked the same twice"):
        testing.check_victim(replace(toy, predict=noisy))


def test_a_victim_that_scales_by_the_batch_is_caught(toy: Victim) -> None:
    scaled = replace(toy, predict=lambda x: toy.predict(x - x.mean(axis=0)))
    with pytest.raises(AssertionError, match="in batches of 1, the victim answers otherwise"):
        testing.check_victim(scaled)


def test_a_victim_that_writes_to_its_input_is_caught(toy: Victim) -> None:
    def writes(x: Array) -> Reply:
        if not x.flags.writeable:  # when it is made it is asked with writeable rows
            x += 0.0
        return toy.predict(x)

    with pytest.raises(AssertionError, match="the victim writes to an array"):
        testing.check_victim(replace(toy, predict=writes))


def test_a_victim_whose_pool_its_api_refuses_is_caught(toy: Victim) -> None:
    shares = replace(toy.shares, pool=toy.shares.pool * 3)
    with pytest.raises(AssertionError, match=r"shares.pool.*outside \[-1, 1\]"):
        testing.check_victim(replace(toy, shares=shares))


def test_a_victim_that_answers_no_probabilities_on_some_inputs_is_caught(toy: Victim) -> None:
    def edgy(x: Array) -> Reply:
        # a row that recurs, as traffic's last rows repeat its first, is answered twice the mass
        repeated = np.unique(x, axis=0, return_counts=True)[1].max() > 1
        return from_outputs(sound(toy, x) * (2 if repeated else 1))

    with pytest.raises(AssertionError, match="with sum 2"):
        testing.check_victim(replace(toy, predict=edgy))

"""The attacker without API: what it has, and what others gain above it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from shop import counted
from summaries import summary

from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.defenses.random_labels import RandomLabels
from moatbench.display.table import of_floor, of_run
from moatbench.judge.floor import at_least, best_constant, gains, trained_on_pool
from moatbench.judge.judge import Judge
from moatbench.learners.published import learner_for
from moatbench.record.columns import POOL, POOL_LABELS
from moatbench.record.curve import worst_case
from moatbench.record.summary import Summary
from moatbench.reply import Reply
from moatbench.runner.extract import Extraction, extract
from moatbench.tracking.log import points
from moatbench.tracking.note import note
from moatbench.types import Array, Generator
from moatbench.victim import Victim

Run = Callable[..., tuple[int, str, str]]


def labelled(toy: Victim) -> Victim:
    """The toy with the true labels of its pool."""
    y = toy.predict(toy.shares.pool).labels
    return replace(toy, shares=replace(toy.shares, y_pool=y))


def judged(toy: Victim, *, side_labels: bool = False) -> Judge:
    return Judge(toy, np.random.default_rng(0), side_labels=side_labels)


def constant(label: int) -> Surrogate:
    return Surrogate(lambda x: Reply(np.full(len(x), label, np.int64)))


@dataclass(frozen=True)
class Told(Attack):
    """Spends its budget and yields a model that it was given."""

    model: Surrogate

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api = target.api
        for checkpoint in api.checkpoints:
            api.query(api.card.space.sample(checkpoint - api.queries, rng))
            yield self.model


class NextClass(Defense):
    """Tells the next class."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return Reply((reply.labels + 1) % 3)


def test_the_best_constant_is_the_share_of_the_commonest_answer() -> None:
    assert best_constant(np.array([2, 0, 2, 1, 2.0])) == 0.6


def test_no_constant_answer_is_above_the_floor_and_one_is_on_it(toy: Victim) -> None:
    judge = judged(toy)
    for sample in ("test", "uniform"):
        found = [judge.score(constant(c))[f"fidelity_{sample}"] for c in range(3)]
        assert max(found) == judge.baselines[POOL][f"fidelity_{sample}"]


def test_what_answers_as_the_floor_has_gained_nothing(toy: Victim) -> None:
    judge = judged(toy)
    found = [judge.score(constant(c))["gain_test"] for c in range(3)]
    assert max(found) == 0
    assert min(found) < 0


def test_the_victim_itself_is_all_that_there_is_to_gain(toy: Victim) -> None:
    scores = judged(toy).score(Surrogate(toy.predict))
    assert scores["gain_test"] == scores["gain_uniform"] == 1


def test_the_gain_is_a_share_of_what_the_floor_leaves() -> None:
    told = gains(
        {"fidelity_test": 0.9, "fidelity_uniform": 0.5},
        {"fidelity_test": 0.6, "fidelity_uniform": 0.75, "accuracy": 0.5},
    )
    assert told == {"gain_test": pytest.approx(0.75), "gain_uniform": -1.0}


def test_a_model_that_always_answers_the_same_has_nothing_to_extract() -> None:
    assert np.isnan(gains({"fidelity_test": 1.0}, {"fidelity_test": 1.0})["gain_test"])


def test_with_side_labels_the_floor_is_the_published_family_trained_on_the_pool(
    toy: Victim,
) -> None:
    victim = labelled(toy)
    judge = judged(victim, side_labels=True)
    floor = judge.baselines[judge.floor]
    assert judge.floor == POOL_LABELS
    assert floor["fidelity_test"] > judge.baselines[POOL]["fidelity_test"] + 0.3
    own = trained_on_pool(victim, np.random.default_rng(1))  # softmax has one end from any start
    assert floor["fidelity_test"] == pytest.approx(judge.score(own)["fidelity_test"], abs=0.01)
    assert judge.score(own)["gain_test"] == pytest.approx(0, abs=0.2)


def test_who_knows_labels_is_never_below_who_does_not() -> None:
    model = {"fidelity_test": 0.9, "fidelity_uniform": 0.3, "accuracy": 0.8}
    told = at_least(model, {"fidelity_test": 0.4, "fidelity_uniform": 0.5})
    assert told == {"fidelity_test": 0.9, "fidelity_uniform": 0.5, "accuracy": 0.8}


def test_side_labels_that_mislead_leave_the_floor_at_the_constant(toy: Victim) -> None:
    shares = replace(toy.shares, y_pool=(toy.predict(toy.shares.pool).labels + 1) % 3)
    judge = judged(replace(toy, shares=shares), side_labels=True)
    floor = judge.baselines[judge.floor]
    assert floor["fidelity_test"] == judge.baselines[POOL]["fidelity_test"]


def test_the_attacker_without_api_asks_the_victim_nothing(toy: Victim) -> None:
    spy, asked = counted(labelled(toy))
    trained_on_pool(spy, np.random.default_rng(0))
    assert not asked


def test_side_labels_change_no_point_of_the_judge(toy: Victim) -> None:
    one, two = judged(toy), judged(labelled(toy), side_labels=True)
    assert np.array_equal(one.samples[1].x, two.samples[1].x)
    assert one.baselines[POOL] == two.baselines[POOL]


@pytest.mark.parametrize("lack", ["labels", "rows", "classes"])
def test_side_labels_that_are_not_there_are_told_before_any_query(toy: Victim, lack: str) -> None:
    victim = labelled(toy)
    empty = replace(victim.shares, pool=victim.shares.pool[:0])
    if lack == "labels":
        victim = toy
    elif lack == "rows":
        victim = replace(victim, shares=empty)
    else:
        values = replace(victim.shares, classes=("value",))
        victim = replace(victim, shares=values, predict=_value)
    with pytest.raises(ValueError, match=r"side_labels=true needs a pool of rows .* known"):
        judged(victim, side_labels=True)


def _value(x: Array) -> Reply:
    return Reply(np.zeros(len(x), np.int64), x[:, :1])


def test_the_constant_floor_of_values_counts_equal_values(toy: Victim) -> None:
    def mostly_four(x: Array) -> Reply:
        value = np.where(x[:, :1] < 0.5, 4.0, x[:, :1])
        return Reply(np.zeros(len(x), np.int64), value)

    values = replace(toy, shares=replace(toy.shares, classes=("value",)), predict=mostly_four)
    share = np.mean(toy.shares.x_test[:, 0] < 0.5)
    judge = judged(values)
    assert judge.baselines[POOL]["fidelity_test"] == pytest.approx(share)
    assert judge.score(Surrogate(mostly_four))["gain_test"] == 1


def test_from_an_api_of_random_labels_nothing_is_extracted(toy: Victim) -> None:
    @dataclass(frozen=True)
    class Learn(Attack):
        """Train the victim's family on labels of uniform inputs."""

        def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
            api = target.api
            for checkpoint in api.checkpoints:
                bought = api.query(api.card.space.sample(checkpoint - api.queries, rng))
                targets = np.eye(3)[bought.labels]
                fit = learner_for("published", api.card).fit(bought.x, targets, rng)
                yield fit.surrogate()

    (lied,) = extract(toy, RandomLabels(grid=0.01), Learn(), checkpoints=[600])
    (told,) = extract(toy, Defense(), Learn(), checkpoints=[600])
    assert lied.metrics["gain_test"] < 0.1
    assert told.metrics["gain_test"] > 0.9


def test_the_worst_case_over_attacks_is_the_largest_gain() -> None:
    base = {"queries": 10, "fidelity_uniform": 0.5}
    curves = {
        "a": [{**base, "fidelity_test": 0.9, "gain_test": 0.8, "gain_uniform": -0.2}],
        "b": [{**base, "fidelity_test": 0.7, "gain_test": 0.4, "gain_uniform": 0.1}],
    }
    (worst,) = worst_case(curves)
    assert (worst["gain_test"], worst["gain_uniform"]) == (0.8, 0.1)


def test_fidelity_to_the_deployed_api_is_to_what_customers_were_told(toy: Victim) -> None:
    def lies(x: Array) -> Reply:
        return Reply((toy.predict(x).labels + 1) % 3)

    (true,) = extract(toy, NextClass(), Told(Surrogate(toy.predict)), checkpoints=[100])
    (lied,) = extract(toy, NextClass(), Told(Surrogate(lies)), checkpoints=[100])
    assert (true.metrics["fidelity_test"], true.metrics["fidelity_defended"]) == (1, 0)
    assert (lied.metrics["fidelity_test"], lied.metrics["fidelity_defended"]) == (0, 1)


def test_fidelity_to_the_deployed_api_leaves_out_what_was_refused(toy: Victim) -> None:
    class Half(Defense):
        """Refuses where the first feature is negative, and lies elsewhere."""

        def admit(self, x: Array, account: str) -> np.ndarray:
            return np.asarray(x[:, 0] >= 0)

        def respond(self, x: Array, reply: Reply, account: str) -> Reply:
            return Reply((reply.labels + (x[:, 1] > 0)) % 3)

    (point,) = extract(toy, Half(), Told(Surrogate(toy.predict)), checkpoints=[100])
    x = toy.shares.x_test[toy.shares.x_test[:, 0] >= 0]
    assert point.metrics["fidelity_defended"] == pytest.approx(np.mean(x[:, 1] <= 0))


def test_one_judge_scores_every_attack_of_a_run(toy: Victim) -> None:
    judge = judged(labelled(toy), side_labels=True)
    run = Extraction(toy, Defense(), Told(constant(1)), [10], judge=judge)
    (point,) = run
    assert point.metrics["gain_test"] == judge.score(constant(1))["gain_test"]


def test_the_printed_table_names_the_floor_and_shows_the_gain() -> None:
    fidelity = {"fidelity_test": 0.9, "fidelity_uniform": 0.8}
    row = {"attack": "a", "queries": 10, "converged": 1, **fidelity}
    row |= {"gain_test": 0.75, "gain_uniform": -0.5}
    floor = {POOL: {"fidelity_test": 0.6, "fidelity_uniform": 0.4}}
    made = summary(checkpoints=[10], summaries={"a": {}}, floor=POOL, baselines=floor)
    assert "75.00/-50.00" in of_run(made, [row])
    assert of_floor(made).startswith("gain is above the best constant answer (60.00/40.00 %)")


def told(**final: float) -> Summary:
    """A summary as a run writes it."""
    summaries = {"a": {"final_gain_test": 0.75, **final}}
    floor = {POOL: {"fidelity_test": 0.625}}
    return summary(floor=POOL, baselines=floor, summaries=summaries)


def test_mlflow_describes_gain_floor_and_the_time_of_honest_customers() -> None:
    text = note(told(honest_seconds_added=0.002, honest_seconds_waited=3.0))
    assert "Gain on test data: 0.75 of what the floor (pool: 0.625) leaves" in text
    assert "adds to a query (0: too few to tell) | 0.002 |" in text
    assert "| virtual seconds that a query waits | 3 |" in text


def test_mlflow_keeps_gain_and_floor_as_metrics() -> None:
    rows = [{"attack": "a", "queries": 10, "gain_test": 0.75}]
    kept = {key: (value, step) for key, value, step in points(told(), rows)}
    assert kept["gain_test"] == (0.75, 10)
    assert kept["summary/final_gain_test"] == (0.75, 0)
    assert kept["summary/floor_fidelity_test"] == (0.625, 0)


def test_the_worst_case_shows_the_customers_time_under_its_winner(moatbench: Run) -> None:
    moatbench(
        *("data=iris", "victim=softmax", "defense=none", "attack=suite", "checkpoints=[20]"),
        *("attack.suite=[equation_solving,lowd_meek]", "tracking.enabled=false"),
    )
    (file,) = Path("runs").rglob("summary.json")
    found = json.loads(file.read_text())
    worst, winner = (found["summaries"][n] for n in ("worst_case", found["winner"]))
    assert worst["honest_seconds_added"] == winner["honest_seconds_added"] is not None


def test_a_run_writes_its_baselines_and_which_is_the_floor(moatbench: Run) -> None:
    status, out, _ = moatbench(
        *("data=iris", "victim=softmax", "defense=none", "attack=equation_solving"),
        *("checkpoints=[5,20]", "side_labels=true", "tracking.enabled=false"),
    )
    (file,) = Path("runs").rglob("summary.json")
    found = json.loads(file.read_text())
    assert status == 0
    assert set(found["baselines"]) == {POOL, POOL_LABELS}
    assert found["floor"] == POOL_LABELS
    assert "a model of the published family" in out
    final = found["summaries"]["equation_solving"]
    floor = found["baselines"][POOL_LABELS]["fidelity_uniform"]
    by_hand = (final["final_fidelity_uniform"] - floor) / (1 - floor)
    assert final["final_gain_uniform"] == pytest.approx(by_hand)

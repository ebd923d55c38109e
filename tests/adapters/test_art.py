"""The Adversarial Robustness Toolbox behind our API, and what is wrong with it."""

import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from shop import Run, Spy, attack_of, by_hand, defense_of, deployed, outputs_told, softmax_of

from moatbench.adapters.art import toolbox
from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.defense import Defense
from moatbench.judge.given import to_defend
from moatbench.models import forward
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import Checkpoint, extract
from moatbench.testing import check_attack
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled

needs_art = pytest.mark.needs("art")
FEW = "attack.steps=40"


def curve(
    victim: Victim, attack: Attack, ends: Sequence[int], defense: Defense | None = None
) -> list[Checkpoint]:
    return list(extract(victim, defense or Defense(), attack, checkpoints=ends))


@pytest.fixture(scope="module")
def kinks() -> Victim:
    """A network of two hidden units of ReLU, four features, three classes."""
    rng = np.random.default_rng(1)
    w, b, v = rng.normal(size=(4, 2)), rng.normal(size=2) / 4, rng.normal(size=(2, 3))

    def predict(x: Array) -> Reply:
        return from_outputs(forward.softmax(np.maximum(x @ w + b, 0) @ v))

    x = rng.uniform(-1, 1, (300, 4))
    return by_hand(
        predict, x, (100, 200), family="mlp", architecture={"hidden": 2, "activation": "relu"}
    )


@needs_art
@pytest.mark.parametrize("name", ["art_knockoff", "art_knockoff_adaptive", "art_copycat"])
def test_an_attack_keeps_the_contract(name: str, toy: Victim) -> None:
    assert check_attack(toy, attack_of(name, FEW), (8, 40)) == ""


@needs_art
def test_it_buys_what_pool_retraining_buys(toy: Victim) -> None:
    bought = []
    for attack in (attack_of("pool_retraining"), attack_of("art_knockoff", FEW)):
        spy = Spy()
        api = MeteredAPI(Deployment(toy, spy, np.random.default_rng(1)), [20, 60])
        list(zip(range(2), attack.run(Target(api, toy.shares.pool), stream(0, "a")), strict=False))
        bought.append(np.concatenate(spy.seen))
    assert np.array_equal(bought[0], bought[1])


@needs_art
def test_copycat_is_knockoff_to_the_last_bit(toy: Victim) -> None:
    labels = curve(toy, attack_of("art_copycat", FEW), [30])
    same = curve(toy, attack_of("art_knockoff", FEW, "attack.answers=labels"), [30])
    assert repr(labels[0].metrics) == repr(same[0].metrics)


@needs_art
def test_a_thief_of_confidences_learns(toy: Victim) -> None:
    (point,) = curve(toy, attack_of("art_knockoff", "attack.steps=300"), [200])
    assert point.metrics["fidelity_test"] > 0.95


@needs_art
def test_the_streams_of_the_process_are_as_before(toy: Victim) -> None:
    def streams() -> Any:
        return np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002

    before = streams()
    curve(toy, attack_of("art_knockoff_adaptive", FEW), [20])
    defense = deployed(defense_of("art", "defense.art.postprocessor=GaussianNoise"), toy)
    outputs_told(defense, np.full((5, 3), 1 / 3))
    assert streams() == before


@needs_art
def test_the_bandit_breaks_before_labels_and_the_curve_says_so(toy: Victim) -> None:
    points = curve(toy, attack_of("art_knockoff_adaptive", FEW), [20, 40], defense_of("label_only"))
    assert [point.queries for point in points] == [20, 40]
    assert all("ART broke: probabilities contain NaN" in point.note for point in points)
    assert not any(point.converged for point in points)


@needs_art
def test_a_search_for_kinks_stops_at_the_budget(kinks: Victim) -> None:
    assert check_attack(kinks, attack_of("art_fee"), (8, 40)) == ""
    cut, done = extract(kinks, Defense(), attack_of("art_fee"), checkpoints=[1000, 4000], seed=1)
    assert "ART found 2 kinks of 2 within the budget" in cut.note
    assert not cut.begun
    assert done.begun
    assert done.note == ""


@needs_art
def test_a_search_for_kinks_is_for_relu(kinks: Victim) -> None:
    tanh = replace(kinks, architecture={"hidden": 3, "activation": "tanh"})
    with pytest.raises(Exception, match="needs hidden units of ReLU, and the victim's are tanh"):
        curve(tanh, attack_of("art_fee"), [100])


@needs_art
@pytest.mark.parametrize(
    ("name", "knobs", "ours"),
    [
        ("Rounded", "{decimals: 2}", ("rounding", "defense.rounding.decimals=2")),
        (
            "ReverseSigmoid",
            "{beta: 1.0, gamma: 0.1}",
            (
                "reverse_sigmoid",
                "defense.reverse_sigmoid.beta=1.0",
                "defense.reverse_sigmoid.gamma=0.1",
                "defense.reverse_sigmoid.guard=false",
            ),
        ),
    ],
)
def test_a_postprocessor_tells_what_ours_tells(
    name: str, knobs: str, ours: tuple[str, ...], toy: Victim
) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    theirs = deployed(
        defense_of("art", f"defense.art.postprocessor={name}", f"+defense.art.knobs={knobs}"), toy
    )
    assert np.allclose(
        outputs_told(theirs, p), outputs_told(deployed(defense_of(*ours), toy), p), atol=2e-9
    )


@needs_art
def test_class_labels_are_told_row_by_row_and_the_fault_is_named(
    toy: Victim, caplog: pytest.LogCaptureFixture
) -> None:
    toolbox.tell.cache_clear()
    owned = to_defend(toy)
    defense = deployed(defense_of("art", "defense.art.postprocessor=ClassLabels"), owned)
    p = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    told = defense.respond(np.zeros((50, 4)), from_outputs(p), "alice")
    assert told.outputs is None
    assert np.array_equal(told.labels, p.argmax(axis=1))
    assert "ART's ClassLabels answers rows otherwise together than one by one" in caplog.text


@needs_art
@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        (["postprocessor=Blur"], "art: postprocessor must be ClassLabels or"),
        (["knobs.gama=1"], "art: knobs must be those of ART's ReverseSigmoid, got .*gama"),
        (["knobs.beta=-1"], "art: knobs must be .* positive"),
    ],
)
def test_a_defense_with_a_knob_that_art_lacks_is_refused(knobs: list[str], words: str) -> None:
    mark = "+" if knobs[0].startswith("knobs") else ""
    with pytest.raises(Exception, match=words):
        defense_of("art", f"{mark}defense.art.{knobs[0]}")


def test_without_art_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolbox, "DISTRIBUTION", "no-such-thing")
    for make in (lambda: attack_of("art_copycat"), lambda: defense_of("art")):
        with pytest.raises(Exception, match=r"not installed; run: pip install 'moatbench\[art\]'"):
            make()


@needs_art
def test_a_classifier_of_pictures_is_asked_within_its_clip_values() -> None:
    from art.estimators.classification import PyTorchClassifier

    from moatbench.adapters.art.estimator import estimator

    seen = []

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            scores: torch.Tensor = self.last(x.flatten(1))
            return scores

    art = PyTorchClassifier(
        Net(), torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu"
    )
    victim = estimator(bundled("digits"), np.random.default_rng(0), art)
    assert seen[-1].shape[1:] == (1, 8, 8)
    assert min(float(x.min()) for x in seen) == 0
    assert max(float(x.max()) for x in seen) == 1
    outputs = victim.predict(victim.shares.x_test).outputs
    assert outputs is not None
    assert np.abs(outputs.sum(axis=1) - 1).max() < 1e-12
    with pytest.raises(ValueError, match="must answer the data's 3 classes, got a PyTorch"):
        estimator(bundled("iris"), np.random.default_rng(0), art)


@needs_art
def test_what_is_no_classifier_of_art_is_refused() -> None:
    from moatbench.adapters.art.estimator import estimator

    with pytest.raises(ValueError, match=r"must be a classifier of ART's, .* victim=own"):
        estimator(
            bundled("iris"), np.random.default_rng(0), softmax_of(np.ones((4, 3)), np.ones(3))
        )


def classifier() -> Any:
    """Return logistic regression on iris, as ART wraps it."""
    from art.estimators.classification import SklearnClassifier
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    return SklearnClassifier(LogisticRegression(max_iter=1000).fit(x, y))


@needs_art
def test_a_run_on_a_classifier_of_art_by_its_name(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ModuleType("elsewhere_of_art")
    elsewhere.__dict__["make"] = classifier
    monkeypatch.setitem(sys.modules, "elsewhere_of_art", elsewhere)
    some = ("data=iris", "attack=uniform_retraining", "checkpoints=[20]", "tracking.enabled=false")
    status, out, err = moatbench(
        *some, "victim=art", "victim.estimator._target_=elsewhere_of_art.make"
    )
    assert status == 0, err
    assert "% of test rows" in out

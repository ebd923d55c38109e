"""The services of Tramèr et al. 2016 over real HTTP: as slow, as dear, and extracted as wholly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import running
from services import serving
from shop import attack_of

from moatbench.defense import Defense
from moatbench.runner.extract import extract
from moatbench.runner.points import Checkpoint
from moatbench.serving.front import Limits
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.remote import http
from moatbench.victims.services import amazon_logistic
from moatbench.victims.tree import tree

LATENCY, PRICE = 0.002, 1e-4  # seconds and US dollars a prediction (Amazon's price: sec. 6.1)


def bigml() -> Victim:
    shown = {"answers": "confidence", "partial": True, "fields": True, "decimals": 5}
    data, rng = bundled("iris"), np.random.default_rng(0)
    made: Victim = tree(data, rng, leaves=8, min_samples_leaf=1, **shown)
    return made


def amazon() -> Victim:
    made: Victim = amazon_logistic(bundled("iris"), np.random.default_rng(0), bins=3)
    return made


def extracted(
    inside: Victim, attack: str, budget: int, folder: Path, patch: pytest.MonkeyPatch, **knobs: Any
) -> Checkpoint:
    """Serve a victim, and run an attack on it over the network; return the end of its curve."""
    service = running(inside, Defense(), folder, limits=Limits(latency=LATENCY))
    patch.setenv("KEY", service.key)
    knobs = {"key_env": "KEY", "units": "scaled", "judge_rows": 200, "partial": True} | knobs
    rng, data = np.random.default_rng(0), bundled("iris")
    with serving(service.app) as url:
        victim = http(data, rng, url, **knobs)
        points = extract(
            victim, Defense(), attack_of(attack), checkpoints=[budget], seed=0, price=PRICE
        )
        return list(points)[-1]


def test_bigml_s_tree_is_found_leaf_by_leaf_by_incomplete_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = extracted(bigml(), "path_finding", 200, tmp_path, monkeypatch, full=False, family="tree")
    assert end.metrics["fidelity_test"] == end.metrics["fidelity_uniform"] == 1
    assert end.dollars == pytest.approx(200 * PRICE)


def test_amazon_s_regression_is_solved_with_its_feature_extraction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knobs = {"family": "amazon_logistic"}
    end = extracted(amazon(), "feature_extraction", 300, tmp_path, monkeypatch, **knobs)
    assert end.metrics["fidelity_test"] == end.metrics["fidelity_uniform"] == 1
    assert end.dollars == pytest.approx(300 * PRICE)


def test_an_answer_takes_as_long_as_the_service_is_told_to_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = extracted(
        bigml(), "uniform_retraining", 50, tmp_path, monkeypatch, full=False, batch=1, family="tree"
    )
    assert end.seconds > 50 * LATENCY

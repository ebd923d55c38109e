"""Reverse-engineering the feature extraction of a service that bins and one-hot encodes inside."""

from dataclasses import replace

import pytest
from shop import DATA_DIR, composed

from moatbench import testing
from moatbench.attack import Attack
from moatbench.compose.build import instantiate
from moatbench.defense import Defense
from moatbench.defenses.noise import Noise
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.top_k import TopK
from moatbench.randomness import stream
from moatbench.runner.extract import Checkpoint, extract
from moatbench.victim import NotApplicable, Victim


def served(*overrides: str) -> tuple[Victim, Attack]:
    """Train the service and build the attack."""
    choice = ["victim=amazon_logistic", "attack=feature_extraction", f"data_dir={DATA_DIR}"]
    cfg = composed(*choice, *overrides)
    victim = instantiate(cfg.victim, instantiate(cfg.data), stream(0, "victim"))
    return victim, instantiate(cfg.attack)


def final(queries: int, *overrides: str) -> Checkpoint:
    """Attack the service with the budget; return the last checkpoint."""
    victim, attack = served(*overrides)
    (point,) = extract(victim, Defense(), attack, checkpoints=[queries])
    return point


def whole(*overrides: str) -> tuple[Victim, Attack]:
    """Let the service refuse inputs with missing features; its card says so."""
    victim, attack = served(*overrides)
    return replace(victim, partial=False), attack


# Tramèr et al. 2016, Table 7: the queries that the paper spent on Amazon's service
@pytest.mark.parametrize(("data", "paper"), [("circles", 278), ("iris", 644)])
def test_the_service_is_extracted_with_the_papers_queries(data: str, paper: int) -> None:
    metrics = final(paper, f"data={data}").metrics
    assert metrics["fidelity_test"] == metrics["fidelity_uniform"] == 1
    assert metrics["tv_uniform"] < 1e-6


def test_without_bins_one_query_an_unknown_suffices() -> None:
    metrics = final(65, "data=digits", "victim.bins=0").metrics
    assert metrics["fidelity_test"] == metrics["fidelity_uniform"] == 1


@pytest.mark.needs("../shared/data")
def test_mixed_features_are_extracted_with_the_papers_queries() -> None:
    metrics = final(1485, "data=adult_income").metrics
    assert metrics["fidelity_test"] == metrics["fidelity_uniform"] == 1


@pytest.mark.parametrize(("data", "paper"), [("circles", 278), ("iris", 300)])
def test_partial_inputs_are_not_needed(data: str, paper: int) -> None:
    victim, attack = whole(f"data={data}")
    (point,) = extract(victim, Defense(), attack, checkpoints=[paper])
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < 1e-6


@pytest.mark.needs("../shared/data")
def test_categories_are_extracted_without_partial_inputs() -> None:
    victim, attack = whole("data=german_credit")
    points = list(extract(victim, Defense(), attack, checkpoints=[100, 800]))
    assert points[-1].metrics["fidelity_uniform"] == 1
    assert points[0].metrics["fidelity_uniform"] < 1


@pytest.mark.parametrize(
    ("defense", "least"),
    [(Rounding(2), 0.95), (Noise("gaussian", 0.02, "fresh", 1e-6), 0.9), (TopK(1, False), 0.9)],
)
def test_without_partial_inputs_it_goes_on_where_answers_are_not_exact(
    defense: Defense, least: float
) -> None:
    victim, attack = whole("data=circles")
    points = list(extract(victim, defense, attack, checkpoints=[40, 400]))
    assert points[-1].metrics["fidelity_uniform"] >= least


def test_the_contract_holds_without_partial_inputs() -> None:
    victim, attack = whole("data=circles")
    assert testing.check_attack(victim, attack, (8, 30, 60)) == ""


def test_another_family_is_not_attacked() -> None:
    with pytest.raises(NotApplicable, match="needs a model of amazon_logistic"):
        final(10, "data=iris", "victim=softmax")

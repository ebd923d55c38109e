"""Attacks on an API of whole numbers and few decimals cope: they learn what was answered."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from shop import attack_of, composed, defense_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Known, Target
from moatbench.compose.build import instantiate
from moatbench.data import Dataset
from moatbench.data.frame import from_frame
from moatbench.randomness import stream
from moatbench.victim import Victim


@cache
def victim_of(family: str) -> Victim:
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "age": rng.integers(17, 90, n),
            "income": rng.integers(0, 90_000, n),
            "rate": np.round(rng.uniform(0, 5, n), 1),
            "rooms": rng.integers(1, 7, n),
        }
    )
    score = frame.age / 73 + frame.income / 60_000 - frame.rate / 4 + frame.rooms / 20
    label = np.where(score + rng.normal(size=n) / 20 > 0.9, "yes", "no")
    table = from_frame(frame.assign(label=label), "mine", "label", [], "drop", [], {})
    data = Dataset(table, units="own")
    victim: Victim = instantiate(composed(f"victim={family}").victim, data, stream(0, "victim"))
    return victim


def stolen(family: str, attack: str, budget: int, defense: str = "none", *knobs: str) -> float:
    """Share of test rows that the surrogate labels as the victim does."""
    victim, played = victim_of(family), attack_of(attack, *knobs)
    deployed = Deployment(victim, defense_of(defense), stream(0, "defense"))
    api = MeteredAPI(deployed, [budget])
    target = Target(api, victim.shares.pool, Known(defense_of(defense)))
    assert played.unmet(target) == ""
    (surrogate,) = played.run(target, stream(0, "attack"))
    x = victim.shares.x_test
    return float(np.mean(surrogate.predict(x).labels == victim.predict(x).labels))


@pytest.mark.parametrize(
    ("family", "attack", "budget", "defense", "least"),
    [
        ("logistic", "equation_solving", 12, "none", 1),
        ("logistic", "equation_solving", 100, "rounding", 0.98),
        ("logistic", "lowd_meek", 200, "none", 0.98),
        ("logistic", "line_search_retraining", 100, "none", 0.98),
        ("logistic", "model_inversion", 60, "none", 1),
        ("logistic", "averaging", 200, "laplace_noise", 0.9),
        ("kernel_logistic", "pool_retraining", 100, "none", 0.95),
        ("amazon_logistic", "feature_extraction", 300, "none", 1),
        ("bigml_tree", "path_finding", 300, "none", 1),
        ("tree", "path_finding", 600, "none", 0.99),
    ],
)
def test_an_attack_copes_with_steps(
    family: str, attack: str, budget: int, defense: str, least: float
) -> None:
    assert stolen(family, attack, budget, defense) >= least

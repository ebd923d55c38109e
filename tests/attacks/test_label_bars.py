"""The bars of label-only extraction, as medians over seeds (Tramèr et al. 2016, sec. 6)."""

import time
from statistics import median
from typing import NamedTuple

import pytest
from shop import DATA_DIR, composed

from moatbench.compose.build import build_attacks, instantiate
from moatbench.defenses.label_only import LabelOnly
from moatbench.randomness import stream
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.victim import Victim

SMALL = ("circles", "moons", "diabetes", "breast_cancer_wisconsin", "breast_cancer")  # d <= 30
SEEDS, UNIFORM = range(3), {"fidelity_uniform", "fidelity_cube"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("../shared/data"),
]


class Curves(NamedTuple):
    """One curve a seed, and the most CPU seconds that one took, victim and judge left out."""

    points: list[list[Checkpoint]]
    seconds: float

    def meet(self, test: float, uniform: float, place: int = -1) -> bool:
        """Whether the medians at a checkpoint reach the bar on test data and uniform inputs."""
        reached = {
            name: 100 * median(curve[place].metrics[name] for curve in self.points)
            for name in {"fidelity_test"} | (UNIFORM & set(self.points[0][0].metrics))
        }
        bars = {name: uniform if name in UNIFORM else test for name in reached}
        assert all(reached[name] >= bar for name, bar in bars.items()), (reached, bars)
        return True


def extract(
    victim: str, data: str, attack: str, factors: list[int], *overrides: str, unit: int = 0
) -> Curves:
    """Draw curves with checkpoints at multiples of `unit`; 0 is columns + 1."""
    chosen = [f"victim={victim}", f"data={data}", f"attack={attack}", f"data_dir={DATA_DIR}"]
    cfg = composed(*chosen, *overrides)
    points, seconds = [], 0.0
    for seed in SEEDS:
        target: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
        checkpoints = [factor * (unit or target.space.d + 1) for factor in factors]
        stolen = build_attacks(cfg.attack, attack)[attack]
        run = Extraction(target, LabelOnly(), stolen, checkpoints, seed)
        start = time.process_time()
        points.append(list(run))
        seconds = max(seconds, time.process_time() - start)
    return Curves(points, seconds)


def test_logistic_regression_on_adult_income_takes_10_labels_a_column() -> None:
    """The paper: > 99 % at about 20; Lowd-Meek at 50."""
    curves = extract("logistic", "adult_income", "adaptive_retraining", [10, 20])
    assert curves.meet(99.4, 99.8, place=0)
    assert curves.meet(99.9, 99.95)


@pytest.mark.parametrize("attack", ["adaptive_retraining", "lowd_meek"])
@pytest.mark.parametrize("data", SMALL)
@pytest.mark.parametrize("victim", ["logistic", "linear_svm"])
def test_a_linear_model_of_few_columns_takes_20_labels_a_column(
    victim: str, data: str, attack: str
) -> None:
    assert extract(victim, data, attack, [20]).meet(99.9, 99.9)


@pytest.mark.parametrize("data", ["adult_income", "german_credit"])
@pytest.mark.parametrize("victim", ["logistic", "linear_svm"])
def test_lowd_meek_solves_a_linear_model_of_many_columns_at_50_labels_a_column(
    victim: str, data: str
) -> None:
    assert extract(victim, data, "lowd_meek", [50]).meet(99.9, 99.95)


@pytest.mark.parametrize("data", ["diabetes", "circles", "moons", "breast_cancer_wisconsin"])
def test_lowd_meek_solves_a_polynomial_kernel_at_50_labels_a_monomial(data: str) -> None:
    monomials = {"diabetes": 45, "breast_cancer_wisconsin": 55}.get(data, 6)
    assert extract("poly_svm", data, "lowd_meek", [50], unit=monomials).meet(99.9, 99.9)


@pytest.mark.parametrize(
    ("data", "unknowns", "bar"), [("iris", 15, 99.9), ("blobs", 9, 99.9), ("digits", 650, 99.3)]
)
def test_softmax_regression_takes_20_labels_an_unknown(
    data: str, unknowns: int, bar: float
) -> None:
    """The paper: 99.9 % at 100."""
    assert extract("softmax", data, "adaptive_retraining", [20], unit=unknowns).meet(bar, bar)


@pytest.mark.parametrize("data", SMALL)
def test_an_rbf_svm_takes_50_labels_a_column_and_a_minute(data: str) -> None:
    """The paper: about 99 % at 100."""
    curves = extract("rbf_svm", data, "adaptive_retraining", [50])
    assert curves.meet(99.3, 99.3)
    assert curves.seconds < 60


def test_a_network_takes_10_labels_an_unknown() -> None:
    """The bar of 20 (99.2/94.5) at half of it, and that of 100 (99.4/97.3) at 20.

    The paper: 99.16/98.24 at 108,200 queries, over all its sets.
    """
    curves = extract("mlp", "digits", "adaptive_retraining", [10, 20], unit=1510)
    assert curves.meet(99.2, 94.5, place=0)
    assert curves.meet(99.4, 97.3)

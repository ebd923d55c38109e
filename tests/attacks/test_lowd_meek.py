"""Lowd-Meek, and the searches and feature spaces that it rests on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax as softmax_
from shop import by_hand

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.attacks.lowd_meek import LowdMeek
from moatbench.defense import Defense
from moatbench.defenses.label_only import LabelOnly
from moatbench.models.embedding import Monomials, Nystrom
from moatbench.models.kernels import Kernel
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.search.bisection import Brackets, null_vector
from moatbench.space import InputSpace, Numeric
from moatbench.testing import Patchy
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled, generated
from moatbench.victims.linear import logistic, softmax
from moatbench.victims.svm import linear_svm, poly_svm, rbf_svm


def curve(victim: Victim, defense: Defense, checkpoints: list[int]) -> list[Checkpoint]:
    return list(Extraction(victim, defense, LowdMeek(most=1000), checkpoints))


def cancer(make: Callable[..., Victim]) -> Victim:
    return make(bundled("breast_cancer"), np.random.default_rng(0))


def reason(victim: Victim, most: int = 1000) -> str:
    api = MeteredAPI(Deployment(victim, Defense(), np.random.default_rng(0)), [1])
    return str(LowdMeek(most=most).unmet(Target(api, victim.shares.pool)))


@pytest.mark.parametrize("make", [logistic, softmax, linear_svm])
def test_a_hyperplane_is_exact_at_20_labels_an_unknown(make: Callable[..., Victim]) -> None:
    """Tramèr et al. 2016, sec. 6: about 50 labels an unknown."""
    (point,) = curve(cancer(make), LabelOnly(), [20 * 31])
    assert min(point.metrics["fidelity_test"], point.metrics["fidelity_uniform"]) >= 0.999


def test_the_weights_come_out_up_to_their_scale() -> None:
    (point,) = curve(cancer(logistic), LabelOnly(), [50 * 31])
    data = bundled("breast_cancer").shares(np.random.default_rng(0))
    from sklearn.linear_model import LogisticRegression

    truth = LogisticRegression(max_iter=5000).fit(data.x_train, data.y_train).coef_[0]
    found = point.parameters["coef"][0]
    cosine = truth @ found / np.linalg.norm(truth) / np.linalg.norm(found)
    assert cosine > 1 - 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_whole_numbers_hide_no_weight(seed: int) -> None:
    """Lines along them end between two steps; those of a yes or no end where they began."""
    rng = np.random.default_rng(seed)
    whole = [Numeric(f"w{high}", 0, high, step=1) for high in (1, 3, 50)]
    space = InputSpace((*whole, *(Numeric(f"x{i}") for i in range(12))))
    weights = np.concatenate([[2.0, -1.0, 0.05], rng.normal(size=12)])
    x = space.sample(600, rng)
    bias = -np.median(x @ weights)

    def predict(x: Array) -> Reply:
        return from_outputs(np.asarray(softmax_(np.outer(x @ weights + bias, (0, 1)), axis=1)))

    victim = by_hand(predict, x, (100, 300), space, ("a", "b"), "logistic")
    (point,) = curve(victim, LabelOnly(), [60 * 16])
    found = point.parameters["coef"][0]
    cosine = weights @ found / np.linalg.norm(weights) / np.linalg.norm(found)
    assert cosine > 1 - 1e-12


def test_a_curve_that_is_asked_for_more_than_its_budget_just_ends() -> None:
    """A batch of lines may begin when the last checkpoint has passed."""
    victim = cancer(logistic)
    for budget in range(1, 80):
        api = MeteredAPI(Deployment(victim, LabelOnly(), np.random.default_rng(0)), [budget])
        rng = np.random.default_rng(0)
        assert len(list(LowdMeek(most=1).run(Target(api, victim.shares.pool), rng))) == 1


def test_a_polynomial_kernel_is_a_plane_through_lifted_crossings() -> None:
    circles = generated(
        "make_circles", 0, {"n_samples": 1000, "noise": 0.1, "factor": 0.5}, 0.3, 0.25
    )
    victim = poly_svm(circles, np.random.default_rng(0), degree=3)
    (point,) = curve(victim, Defense(), [30 * 10])
    assert min(point.metrics["fidelity_test"], point.metrics["fidelity_uniform"]) >= 0.999


def test_the_curve_stops_at_every_checkpoint_whatever_is_refused() -> None:
    points = curve(cancer(logistic), Patchy(), [1, 2, 7, 33, 34, 700])
    assert [point.queries for point in points] == [1, 2, 7, 33, 34, 700]
    assert points[-1].metrics["fidelity_uniform"] > 0.99


def test_the_attack_says_why_it_does_not_apply() -> None:
    three = softmax(bundled("iris"), np.random.default_rng(0))
    assert reason(three) == "needs two classes, and the API answers 3"
    curved = poly_svm(bundled("breast_cancer"), np.random.default_rng(0))
    assert reason(curved, most=100) == "needs at most 100 monomials, and the kernel has 495"
    assert "the victim's is rbf_svm" in reason(cancer(rbf_svm))


@pytest.mark.parametrize("most", [0, 2.5])
def test_a_bad_knob_is_refused(most: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a whole number .* counts monomials"):
        LowdMeek(most=most)


def test_a_refused_answer_leaves_its_bracket_as_it_is() -> None:
    brackets = Brackets(np.zeros((3, 1)), np.ones((3, 1)), np.ones(3), InputSpace.box(1))
    brackets.learn(brackets.open, np.array([1.0, -1.0, 0.0]))
    assert brackets.widths.tolist() == [0.5, 0.5, 1.0]
    assert brackets.open[0] == 2
    assert brackets.points[:, 0].tolist() == [0.75, 0.25, 0.5]


def test_rows_in_doubt_hardly_move_the_null_vector() -> None:
    rows = np.array([[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 1.0]])
    assert abs(null_vector(rows, np.array([1e-9, 1e-9, 1.0]))[2]) > 1 - 1e-12


def test_monomials_are_all_products_up_to_the_degree() -> None:
    x = np.array([[2.0, 3.0]])
    assert Monomials(2)(x).tolist() == [[2, 3, 4, 6, 9]]
    assert Monomials(2).size(2) == 5


def test_coordinates_between_landmarks_have_the_kernel_as_their_dot_product() -> None:
    x, kernel = np.random.default_rng(0).uniform(-1, 1, (50, 3)), Kernel("rbf", 0.5)
    z = Nystrom.of(kernel, x, 50)(x)
    assert np.abs(z @ z.T - kernel(x, x)).max() < 1e-6

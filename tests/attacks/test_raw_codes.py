"""Models behind an encoder of names are solved as others are: names are columns of -1 and 1."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from moatbench.attacks.equation_solving import EquationSolving
from moatbench.data import Dataset
from moatbench.data.frame import from_frame
from moatbench.defense import Defense
from moatbench.defenses.dawn import DAWN
from moatbench.defenses.mad import MAD
from moatbench.defenses.rounding import Rounding
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.solvers.rounded import corners
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.victim import Victim
from moatbench.victims.own import own_model

NUMBERS = ["duration", "amount", "rate"]
NAMES = ["status", "purpose", "zone"]
CLASSES = np.array(["bad", "good", "odd"])


def customers(k: int, n: int = 600) -> pd.DataFrame:
    """A frame like german_credit: whole numbers, decimals, names, and numbers that are names."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "duration": rng.integers(4, 72, n),
            "status": rng.choice(["A11", "A12", "A13", "A14"], n),
            "amount": rng.integers(250, 18424, n),
            "purpose": rng.choice([f"A4{i}" for i in range(7)], n),
            "rate": rng.uniform(0, 4, n).round(2),
            "zone": rng.choice([1, 3, 7], n),
            "member": rng.random(n) < 0.5,
        }
    )
    score = frame.duration / 20 + 1.5 * (frame.status == "A11") + frame.member - frame.zone / 3
    score += rng.normal(size=n)
    cuts = np.quantile(score, np.arange(1, k) / k)
    return frame.assign(label=CLASSES[np.searchsorted(cuts, score)])


@cache
def owned(k: int) -> tuple[Victim, Any]:
    """A pipeline of one's own, served as frames."""
    frame = customers(k)
    x = frame.drop(columns="label")
    parts = ColumnTransformer(
        [("n", StandardScaler(), NUMBERS), ("c", OneHotEncoder(), NAMES)], remainder="passthrough"
    )
    model = make_pipeline(parts, LogisticRegression(C=10, max_iter=1000)).fit(x, frame.label)
    data = Dataset(from_frame(frame, "mine", "label", [], "drop", [], {}), units="own")
    return own_model(data, np.random.default_rng(0), model), model


def last(victim: Victim, queries: int, defense: Defense | None = None) -> Checkpoint:
    (point,) = Extraction(victim, defense or Defense(), EquationSolving(True), [queries], 0)
    return point


@pytest.mark.parametrize(("k", "queries"), [(2, 60), (3, 60), (3, 200)])
def test_a_pipeline_that_takes_names_is_solved_exactly(k: int, queries: int) -> None:
    victim, _ = owned(k)
    assert (victim.family, victim.shares.provenance["asked"]) == ("softmax", "frame")
    point = last(victim, queries)
    for sample in ("test", "uniform"):
        assert point.metrics[f"fidelity_{sample}"] == 1
        assert point.metrics[f"tv_{sample}"] < 1e-9


def test_perturbed_answers_are_solved_on_the_same_columns() -> None:
    victim, _ = owned(2)
    plain, point = last(victim, 400), last(victim, 400, DAWN(0.02, 0.01))
    assert point.metrics["fidelity_uniform"] == 1
    for name, found in plain.parameters.items():
        assert np.allclose(point.parameters[name], found, atol=1e-6)


def test_a_constant_is_no_solution_of_answers_that_are_told_alike() -> None:
    point = last(owned(2)[0], 400, MAD(1.0, guard=True))
    assert not point.parameters
    assert "solved" not in point.note


def test_a_name_that_was_never_asked_is_not_said_to_be_solved() -> None:
    note = last(owned(2)[0], 18).note
    assert note == "least solution: what was asked tells nothing in some directions"


def test_the_parameters_are_those_of_numbers_and_of_names_beside_the_first() -> None:
    victim, model = owned(2)
    found = last(victim, 100).parameters["coef"][0]
    scaler, encoder = (model[0].named_transformers_[n] for n in "nc")
    coef = model[1].coef_[0]
    assert np.allclose(found[: len(NUMBERS)] * scaler.scale_, coef[: len(NUMBERS)])
    sizes = [len(c) for c in encoder.categories_]
    of_names = np.split(coef[len(NUMBERS) :], np.cumsum(sizes))
    wanted = np.concatenate([part[1:] - part[0] for part in of_names[:-1]] + [of_names[-1]])
    assert np.allclose(found[len(NUMBERS) :], wanted)


@pytest.mark.parametrize("k", [2, 3])
def test_rounding_hides_little_of_it(k: int) -> None:
    point = last(owned(k)[0], 600, Rounding(2))
    assert min(point.metrics[f"fidelity_{s}"] for s in ("test", "uniform")) >= 0.99
    assert "edges" in point.note


def test_corners_are_where_a_sum_is_largest() -> None:
    names = Categorical("town", ("a", "b", "c"), one_hot=False)
    space = InputSpace((Numeric("age", 0, 9), names, Numeric("pay", -1, 1)))
    slopes = np.array([[1.0, -1.0, -2.0, -3.0], [-1.0, 1.0, 0.5, 0.7]])
    assert corners(space, slopes).tolist() == [[9, 0, -1], [0, 2, 1]]

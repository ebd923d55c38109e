"""Answers of every form become replies, and models that answer otherwise are refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from moatbench.formats.answers import are_probabilities, form_of
from moatbench.formats.checked import agreement, require_steady
from moatbench.formats.model import Model
from moatbench.formats.served import Held, Served, filled_blocks
from moatbench.models.forward import BLOCK
from moatbench.victim import reply_problem

TWO, THREE = ("a", "b"), ("a", "b", "c")
P = np.array([0.25, 0.75, 0.5])
SHARES = np.array([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625]])


@pytest.mark.parametrize("raw", [P, P[:, None], torch.tensor(P), pd.Series(P), P.astype("f4")])
def test_one_output_is_the_probability_of_the_second_class(raw: Any) -> None:
    reply = form_of(raw, None, TWO).reply(raw)
    assert reply.labels.tolist() == [0, 1, 0]
    assert np.array_equal(reply.outputs, np.column_stack([1 - P, P]))  # type: ignore[arg-type]


def test_one_output_of_a_model_that_knows_its_classes_is_its_second_classes() -> None:
    reply = form_of(P, ["b", "a"], TWO).reply(P)
    assert reply.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "raw",
    [
        SHARES,
        SHARES.astype("f4"),
        torch.tensor(SHARES),
        pd.DataFrame(SHARES),
        [dict(zip("xyz", row, strict=True)) for row in SHARES.tolist()],
    ],
)
def test_a_column_a_class_in_the_models_own_order(raw: Any) -> None:
    classes = ("z", "x", "y")
    reply = form_of(raw, ["x", "y", "z"], classes).reply(raw)
    assert np.array_equal(reply.outputs, SHARES[:, [2, 0, 1]])  # type: ignore[arg-type]
    assert reply.labels.tolist() == [1, 0]


def test_sums_in_single_precision_that_are_nearly_one_are_told_as_they_are() -> None:
    """Divided, they would look exact to more digits than they are."""
    rng = np.random.default_rng(0)
    raw = torch.softmax(torch.tensor(rng.normal(size=(50, 40)), dtype=torch.float32), 1).numpy()
    assert np.abs(raw.astype(np.float64).sum(axis=1) - 1).max() > 1e-8
    reply = form_of(raw, None, tuple(map(str, range(40)))).reply(raw)
    assert np.array_equal(reply.outputs, raw)  # type: ignore[arg-type]
    assert reply_problem(reply, 50, 40) == ""


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_sums_that_are_further_off_are_made_one_in_single_precision(kind: Any) -> None:
    rng = np.random.default_rng(0)
    raw = rng.dirichlet(np.ones(40), 50).astype(np.float16).astype(kind)
    assert np.abs(raw.astype(np.float64).sum(axis=1) - 1).max() > 1e-6
    reply = form_of(raw, None, tuple(map(str, range(40)))).reply(raw)
    assert reply_problem(reply, 50, 40) == ""
    assert reply.outputs is not None
    assert np.array_equal(reply.outputs, reply.outputs.astype(np.float32))


@pytest.mark.parametrize(
    "raw",
    [
        np.array([[-1.19e-7, 1.00000012], [0.25, 0.75]], dtype=np.float32),  # a forest's, in ONNX
        np.array([1.0000001, 0.75]),
    ],
)
def test_what_rounding_leaves_below_zero_is_zero(raw: Any) -> None:
    outputs = form_of(raw, None, TWO).reply(raw).outputs
    assert outputs is not None
    assert np.allclose(outputs, np.array([[0, 1], [0.25, 0.75]]), rtol=0, atol=1e-6)
    assert (outputs >= 0).all()
    assert np.abs(outputs.sum(axis=1) - 1).max() < 1e-12


@pytest.mark.parametrize(
    ("raw", "known", "classes", "labels"),
    [
        (["b", "a"], None, TWO, [1, 0]),
        (np.array([0, 1]), None, TWO, [0, 1]),
        (np.array([1.0, 0.0]), None, TWO, [1, 0]),
        (np.array([[1], [0]]), None, TWO, [1, 0]),
        (np.array([10, 2]), [1, 2, 10], ("1", "2", "10"), [2, 1]),
        (np.array([9, 1]), list(range(10)), tuple(map(str, range(1, 11))), [9, 1]),
        (np.array([True, False]), [False, True], ("False", "True"), [1, 0]),
        (np.array(["1.0", "2.0"]), None, ("1", "2"), [0, 1]),
    ],
)
def test_labels_alone_are_a_victim_that_answers_labels(
    raw: Any, known: Any, classes: tuple[str, ...], labels: list[int]
) -> None:
    reply = form_of(raw, known, classes).reply(raw)
    assert reply.outputs is None
    assert reply.labels.tolist() == labels


@pytest.mark.parametrize(
    ("raw", "known", "said"),
    [
        (SHARES, None, r"must answer 2 classes \(a, b\), got 3 outputs of shape \(2, 3\)"),
        (np.zeros((2, 2, 2)), None, r"got an array of shape \(2, 2, 2\)"),
        (["a", "x"], None, r"classes must be the data's \(a, b\) or 0 to 1, got a, x"),
        (SHARES, ["a", "b", "x"], r"must be the data's \(a, b\) or 0 to 1, got a, b, x"),
        (np.array([[0.5, 0.5]]), ["a", "x"], r"must be the data's \(a, b\) or 0 to 1, got a, x"),
    ],
)
def test_answers_of_another_classifier_are_refused(raw: Any, known: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        form_of(raw, known, TWO)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_scores_become_probabilities_where_their_owner_says_so(link: str) -> None:
    scores = np.array([[2.0], [-1.0]])
    assert not are_probabilities(scores)
    outputs = form_of(scores, None, TWO, link).reply(scores).outputs
    assert outputs is not None
    assert np.allclose(outputs[:, 1], 1 / (1 + np.exp(-scores[:, 0])))


# ---- how a model is asked ----------------------------------------------------------------


def served(ask: Any, stochastic: bool = False) -> Served:
    form = form_of(np.full((1, 2), 0.5), None, TWO)
    return Served(Held(Model(ask, "x")), lambda x: x, form, stochastic)


def steady(x: Any) -> Any:
    p = 1 / (1 + np.exp(-x[:, :1]))
    return np.hstack([1 - p, p])


def test_equal_rows_are_asked_once_and_in_blocks_of_one_size() -> None:
    asked: list[int] = []

    def ask(x: Any) -> Any:
        asked.append(len(x))
        return steady(x)

    model, x = served(ask), np.random.default_rng(0).normal(size=(100, 3))
    whole = model(np.concatenate([x, x]))
    assert asked == [BLOCK, BLOCK]
    again = model(x[::-1])
    assert asked == [BLOCK, BLOCK]
    assert np.array_equal(again.outputs, whole.outputs[:100][::-1])  # type: ignore[index,arg-type]
    assert np.array_equal(whole.outputs[:100], steady(x))  # type: ignore[index]
    assert len(model(np.empty((0, 3)))) == 0


def test_what_a_model_raises_at_a_row_is_told_as_its_own() -> None:
    def ask(x: Any) -> Any:
        raise TypeError("Input X contains NaN.\nSee a page")

    said = r"must answer every row within .* of the data, got TypeError: Input X contains NaN;"
    with pytest.raises(ValueError, match=said):
        served(ask)(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda x: steady(x)[:-1], "63 of them to 64 rows"),
        (lambda x: steady(x).T, "2 of them to 64 rows"),
        (lambda x: (steady(x), None), "2 of them to 64 rows"),
        (lambda x: None, "a NoneType to 64 rows"),
        (lambda x: csr_matrix(steady(x)), "a csr_matrix to 64 rows"),
    ],
)
def test_a_model_must_answer_each_row(answer: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"must answer n rows with .*, got {told}"):
        served(answer)(np.zeros((2, 3)))


def test_what_a_model_sets_for_all_of_numpy_is_its_own() -> None:
    """Found: after np.seterr(all="raise") of somebody's file our softmax raised."""

    def strict(x: Any) -> Any:
        np.seterr(all="raise")
        return steady(x)

    before = np.geterr()
    served(strict)(np.zeros((2, 3)))
    assert np.geterr() == before


@pytest.mark.parametrize(
    ("columns", "order"), [(["b", "a"], [1, 0]), (["a", "b"], [0, 1]), (["p", "q"], [0, 1])]
)
def test_a_frame_names_its_columns_after_the_classes(columns: list[str], order: list[int]) -> None:
    frame = pd.DataFrame([[0.2, 0.8], [0.7, 0.3]], columns=columns)
    outputs = form_of(frame, None, TWO).reply(frame).outputs
    assert outputs is not None
    assert np.array_equal(outputs, frame.to_numpy()[:, order])


def test_a_block_is_filled_up_with_a_row_that_was_asked() -> None:
    (block,) = filled_blocks(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert len(block) == BLOCK
    assert {tuple(row) for row in block.tolist()} == {(1.0, 2.0), (3.0, 4.0)}


def test_a_model_that_answers_each_row_alike_is_steady() -> None:
    require_steady(served(steady), np.random.default_rng(0).normal(size=(70, 3)))


def test_dropout_is_refused_and_measured_where_it_is_meant() -> None:
    rng, x = np.random.default_rng(0), np.random.default_rng(1).normal(size=(70, 3))

    def varies(x: Any) -> Any:
        return steady(x + rng.normal(size=x.shape))

    with pytest.raises(ValueError, match=r"alike each time, got .*victim\.stochastic=true"):
        require_steady(served(varies), x)
    model = served(varies, stochastic=True)
    assert 0.3 < agreement(model, x) < 0.95
    assert not np.array_equal(model(x).outputs, model(x).outputs)  # type: ignore[arg-type]


def test_a_model_that_looks_at_the_whole_batch_is_refused() -> None:
    def normalised(x: Any) -> Any:
        return steady(x - x.mean(axis=0))

    with pytest.raises(ValueError, match="alike whatever rows are asked with it"):
        require_steady(served(normalised), np.random.default_rng(0).normal(size=(64, 3)))


def test_a_model_that_takes_many_rows_only_is_refused() -> None:
    def picky(x: Any) -> Any:
        if len(x) < 2:
            raise ValueError("expected more than 1 value per channel")
        return steady(x)

    with pytest.raises(ValueError, match="must answer a single row as well as many, got ValueErr"):
        require_steady(served(picky), np.random.default_rng(0).normal(size=(64, 3)))

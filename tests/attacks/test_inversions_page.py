"""docs/inversions.md: the answer that is inverted by hand."""

import numpy as np
import pytest
from shop import ROOT

from moatbench.defenses.mad import poisoned
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.inverses.coarse import shuffled
from moatbench.inverses.moves import redirected_moves
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import one_hot_step, set_step
from moatbench.reply import Reply
from moatbench.types import Array

TRUE = np.array([0.6, 0.3, 0.1])
PAGE = (ROOT / "docs" / "inversions.md").read_text()


def told(*outputs: float, label: int | None = None) -> Origins:
    row = np.array([outputs])
    labels = np.array([row.argmax() if label is None else label], dtype=np.int64)
    return Origins.of(Reply(labels, row))


def points(found: Origins) -> list[list[float]]:
    assert found.exact.all()
    return sorted(found.low.round(4).tolist())


def written(values: Array) -> str:
    return "(" + ", ".join(f"{value:.4f}".rstrip("0") for value in values) + ")"


def test_mad() -> None:
    e = np.array([0.0, 0, 1])
    a = 1 / np.abs(e - TRUE).sum()
    answer = (1 - a) * TRUE + a * e
    assert f"{a:.4f}" in PAGE
    assert written(answer) in PAGE
    (found,) = points(one_hot_step(told(*answer), 1.0))
    assert found == pytest.approx(TRUE)
    assert answer[0] / answer[1] == pytest.approx(TRUE[0] / TRUE[1])


def test_mad_argmax() -> None:
    answer, sets = np.array([0.55, 0.15, 0.3]), ([0], [0, 1], [0, 2], [0, 1, 2])
    for members in sets:
        u = np.zeros(3)
        u[members] = 1 / len(members)
        way = np.abs(answer - u).sum()
        a = 0.4 / (0.4 + way)
        row = f"| {way:.4g} | {a:.4g} | "
        assert row in PAGE
        assert written((answer - a * u) / (1 - a)) in PAGE.partition(row)[2].splitlines()[0]
    (found,) = points(set_step(told(*answer, label=0), 0.4, 0.0, None))
    assert found == pytest.approx(TRUE)


def test_two_answers_are_told_alike_by_mad_argmax() -> None:
    forest, surrogate = np.array([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3]]), np.array([[0.4, 0.3, 0.3]])
    assert all(written(row) in PAGE for row in (*forest, *surrogate))
    one, other = poisoned(forest, surrogate.repeat(2, axis=0), 0.4, guard=True)
    assert one.tobytes() == other.tobytes()
    assert "(" + ", ".join(f"{value:.5f}" for value in one) + ")" in PAGE
    found = set_step(told(*one, label=0), 0.4, 1e-5, None)
    assert not found.exact.any()
    assert all(found.holds(row[None], 1e-12).all() for row in forest)


def test_grad2() -> None:
    found = points(redirected_moves(told(0.6, 0.1, 0.3), 0.4, 1e-5, guard=False))
    assert found == [[0.4, 0.1, 0.5], [0.4, 0.3, 0.3], [0.6, 0.3, 0.1], [0.8, 0.1, 0.1]]
    assert all(written(np.array(row)) in PAGE for row in found)


def test_shuffle() -> None:
    found = shuffled(told(0.6, 0.1, 0.3))
    assert found.mixed.tolist() == [[False, True, True]]
    assert found.holds(TRUE[None], 1e-12).all()


def test_reverse_sigmoid() -> None:
    defense = ReverseSigmoid(0.8, 1.0, True)
    answer = defense.respond(TRUE[None], Reply(np.array([0]), TRUE[None]), "alice").outputs
    assert answer is not None
    assert written(0.4 + 0.2 * TRUE) in PAGE
    assert written(answer[0]) in PAGE
    assert all(f"{answer[0, j] / answer[0, 0]:.4f}" in PAGE for j in (1, 2))
    (found,) = points(defense.inverse(told(*answer[0])))
    assert found == pytest.approx(TRUE)

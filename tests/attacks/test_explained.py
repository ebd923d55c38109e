"""Answers that a model explains are not searched for all of their origins."""

import numpy as np
from scipy.special import expit, softmax
from shop import victim_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.client import Answers
from moatbench.defense import Defense
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.inverses.bent.bump import Bump, Table
from moatbench.inverses.bent.curves import Curves
from moatbench.inverses.explained import Explaining, explaining
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.reply import Reply
from moatbench.types import Array

BENT = ReverseSigmoid(0.8, 0.2, True)
CLOSE = 1e-8


def asked(n: int, seed: int) -> tuple[Answers, Array, Explaining]:
    """Return n answers of softmax regression on digits behind a bump, the truth, and a search."""
    victim = victim_of("softmax", "digits")
    x = victim.space.sample(n, np.random.default_rng(seed))
    true = victim.predict(x).outputs
    assert true is not None
    answers = Answers(x, np.arange(n), true.argmax(axis=1), BENT.told_of(true), None)
    found = explaining(
        MeteredAPI(Deployment(victim, Defense(), np.random.default_rng(0)), [n]).card
    )
    assert found is not None
    return answers, true, found


def test_what_a_model_explains_has_one_origin_and_it_is_the_truth() -> None:
    answers, true, found = asked(330, 0)
    inverse = inverse_of(BENT)
    assert inverse is not None
    known: list[Answers] = []
    for piece in found.pieces(answers, 0):
        told = Origins.of(Reply(piece.labels, piece.outputs))
        origins = found.undo(inverse, told, piece.x)
        assert origins.holds(true[piece.rows], CLOSE).all()
        known.append(piece)
        if len(known) == 1:
            first = origins
            found.look(piece, origins)
    assert len(known) > 1
    assert first.counts.mean() > 10
    assert origins.counts.mean() < 0.2 * first.counts.mean()
    assert not found.near[: len(known[0].x)].any()
    assert found.near[len(known[0].x) :].mean() > 0.9


def test_an_answer_that_the_model_does_not_explain_is_searched_whole() -> None:
    answers, _, found = asked(330, 0)
    inverse = inverse_of(BENT)
    assert inverse is not None
    first, *_ = found.pieces(answers, 0)
    told = Origins.of(Reply(first.labels, first.outputs))
    found.look(first, found.undo(inverse, told, first.x))
    other = np.asarray(softmax(np.random.default_rng(1).normal(size=(20, 10)), axis=1))
    strange = Origins.of(Reply(other.argmax(axis=1), BENT.told_of(other)))
    origins = found.undo(inverse, strange, answers.x[:20])
    whole = inverse(strange, None)
    assert origins.holds(other, CLOSE).all()
    np.testing.assert_array_equal(origins.counts, whole.counts)


def test_curves_are_those_of_each_table() -> None:
    bumps = [Bump.of_height(height, 0.2) for height in (0.1, 0.4, 0.8)]
    tables = [Table.of(bump, float(bump.height(np.zeros(1))[0])) for bump in bumps]
    curves, rng = Curves(tables), np.random.default_rng(0)
    for place, table in enumerate(tables):
        for branch, (f, z) in enumerate(table.branches()):
            at = rng.uniform(f[0] - 0.1, f[-1] + 0.1, 500)
            which = np.full(500, place), np.full(500, branch)
            got, wanted = curves.inverse(*which, at), np.interp(at, f, z)
            np.testing.assert_allclose(expit(got), expit(wanted), rtol=0, atol=1e-12)

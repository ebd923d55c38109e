"""A first guess of one-vs-rest regression, from answers whose origins are still open."""

from collections.abc import Iterator

import numpy as np

from moatbench.client import Answers
from moatbench.inverses.agreement.annealed import WIDEST, annealed, starts
from moatbench.inverses.agreement.certain import certified
from moatbench.inverses.agreement.joint import projected_step
from moatbench.inverses.agreement.stated import Agreement, Equations, standing_entries
from moatbench.inverses.linear_guess import MOST, ORDERINGS, STAYS, untouched
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.learners.learner import Learner
from moatbench.models import forward
from moatbench.models.linear import cross_entropy
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.reply import Predict, Reply, from_outputs, has_outputs
from moatbench.types import Array, Labels, Mask

UNKNOWNS = 1500  # at most: they are solved for all at once
FEW = 3  # classes up to which it takes no time to look for what stands, where all may be moved
ROUNDS = 6  # of choosing origins, and looking for what stands
NARROW = 1.0  # scale of residuals in log-odds, once there is a guess
TINY = 1e-10  # a confidence below carries rounding errors in its log
RIDGE, STEPS = 1e-3, 100  # of the fit to the labels
DAMPING = 1e-4  # of a step, in units of the mean curvature
ENOUGH = 8  # equations an unknown, beyond which more rows only cost time


def sigmoid_guess(learner: Learner, answers: Answers, origins: Origins) -> Predict | None:
    """Return a model that explains exact entries of the origins; None where none is certified.

    What stands of the answers as told leads near to it, or a fit to the labels does. Then the
    origins that it says are chosen, and it is fitted to these, in turn: a class that was raised by
    a known amount is one that tells a shift of all scores from an offset of its row.

    Args:
        learner: of one-vs-rest regression, of three classes or more.
        answers: as they were told.
        origins: of them.
    """
    told = answers.outputs
    rows = np.zeros(0, np.intp) if told is None else np.flatnonzero(has_outputs(told))
    few = len(rows) * (learner.k - 1) < learner.unknowns
    if told is None or learner.unknowns > UNKNOWNS or few or not len(origins.rows):
        return None
    model, labels = learner.model(answers.x), answers.labels.copy()
    assert isinstance(model, OneVsRest)
    labels[origins.rows] = origins.labels  # where a label was told that is not the model's
    for w in _guesses(model, told, labels, origins):
        _, found = _chosen(model, origins, w)
        if certified(found, Agreement(w, standing_entries(found, w))):
            return _predicting(learner, w)
    return None


def _guesses(model: OneVsRest, told: Array, labels: Labels, origins: Origins) -> Iterator[Array]:
    """Yield weights (d, k) that may explain origins of all answers."""
    stands = untouched(told, origins).any() and not origins.mixed.any()
    if not stands or model.k <= FEW:
        hard, _ = cross_entropy(model.a[:, :-1], np.eye(model.k)[labels], RIDGE, iterations=STEPS)
        yield _ordered(model, origins, hard)
    if not stands and model.k > FEW:
        return
    first = Equations.of(model.a, told, sigmoids=True)
    for start in starts(first, labels, model.k):
        w = annealed(first, start, WIDEST)
        for _ in range(ROUNDS):
            w = annealed(_chosen(model, origins, w)[1], w, NARROW)
            yield w


def _ordered(model: OneVsRest, origins: Origins, w: Array) -> Array:
    """Choose whole origins, and orders of values, by the model so far, and step towards them."""
    size = ENOUGH * model.unknowns // (model.k - 1)
    some = OneVsRest(model.a[:size], model.k)
    theta, few = w.T.ravel(), _first(origins, size)
    for _ in range(ORDERINGS):
        w = some.coef(theta)
        chosen, found = _chosen(some, few, w)
        far = np.abs(chosen - forward.one_vs_rest(some.a @ w)).max(axis=1)
        if np.nanquantile(far, MOST) < STAYS:
            break
        whole = np.asarray(found.usable.all(axis=1))
        gaps = np.where(whole[:, None], found.logs - some.scores(theta), 0.0)
        left = np.abs(gaps - gaps.mean(axis=1, keepdims=True)).max(axis=1)
        scale = max(float(np.median(left[whole])) if whole.any() else 1.0, 1e-9)
        weights = np.repeat((whole / (1 + (left / scale) ** 2))[:, None], model.k, axis=1)
        step = projected_step(some, gaps, weights, theta, DAMPING * min(1.0, scale))
        if step is None:
            break
        theta = theta + step
    return some.coef(theta)


def _first(origins: Origins, size: int) -> Origins:
    """Return the candidates of the first answers."""
    n = min(size, origins.n)
    early = origins.take(origins.rows < n)
    return Origins(n, early.rows, early.low, early.high, early.labels, early.mixed)


def _chosen(model: OneVsRest, origins: Origins, w: Array) -> tuple[Array, Equations]:
    """Return the origins (n, k) that a model is nearest to, and the equations that they are."""
    chosen, known = nearest(origins, forward.one_vs_rest(model.a @ w))
    usable: Mask = np.asarray(known & (chosen > TINY))
    logs = np.log(np.nan_to_num(chosen).clip(1e-300))
    return chosen, Equations(model.a, logs, usable, sigmoids=True)


def _predicting(learner: Learner, w: Array) -> Predict:
    def predict(x: Array) -> Reply:
        model = learner.model(x)
        assert isinstance(model, OneVsRest)
        return from_outputs(forward.one_vs_rest(model.a @ w))

    return predict

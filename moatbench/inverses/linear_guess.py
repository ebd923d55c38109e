"""A first guess of a model with linear log-odds, from answers whose origins are still open."""

import numpy as np
from scipy.special import softmax

from moatbench.client import Answers
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.inverses.standing import standing
from moatbench.inverses.steps import ALL
from moatbench.learners.learner import Learner
from moatbench.learners.ridge_path import Batch, fit_at
from moatbench.models.linear import Linear
from moatbench.reply import Predict, Reply, from_outputs, has_outputs
from moatbench.types import Array, Labels, Mask

RIDGE, STEPS = 1e-3, 100  # of the fit to the labels, from which all starts
ROUNDS = 8  # of choosing origins, and looking for what stands
ORDERINGS = 60  # of choosing where no entry stands, or values are told out of order
NARROW = 0.3  # scale of residuals in log-odds, once there is a guess
MIRRORINGS, WIDE, SHRINKING = 100, 3.0, 0.8  # rounds of two classes, and their scale in log-odds
TINY = 1e-15  # a confidence below has no log to speak of
STAYS, MOST = 1e-10, 0.98  # that most answers are as the model says


def linear_guess(
    learner: Learner, answers: Answers, origins: Origins, start: Array | None = None
) -> Predict | None:
    """Return a model of the answers' origins; None where they tell too little.

    Args:
        learner: of a family with linear log-odds.
        answers: as they were told.
        origins: of them.
        start: parameters to start from; those of the answers' labels, where there are none.
    """
    told = answers.outputs
    rows = np.zeros(0, np.intp) if told is None else np.flatnonzero(has_outputs(told))
    if told is None or len(rows) * (learner.k - 1) < learner.unknowns:
        return None
    labels = answers.labels.copy()
    labels[origins.rows] = origins.labels  # where a label was told that is not the model's
    start = label_fit(learner, answers.x, labels) if start is None else start
    model = learner.model(answers.x)
    assert isinstance(model, Linear)
    w = model.coef(start)
    none_stands = learner.k <= ALL and not _untouched(told, origins).any()
    if learner.k == 2:
        w = _mirrored(model.a, origins, w)
    elif origins.mixed.any() or none_stands:
        w = _ordered(model.a, origins, w)
    else:
        w = _stood(model.a, told, origins, w)
    theta = w.T.ravel()

    def predict(x: Array) -> Reply:
        return from_outputs(np.asarray(softmax(learner.model(x).scores(theta), axis=1)))

    return predict


def label_fit(learner: Learner, x: Array, labels: Labels) -> Array:
    """Return the parameters that fit labels."""
    model = learner.model(x)
    assert isinstance(model, Linear)
    hard = Batch(model, np.eye(learner.k)[labels])
    start = np.zeros(model.a.shape[1] * learner.k)
    return fit_at(RIDGE, hard, start, iterations=STEPS).theta


def _stood(a: Array, told: Array, origins: Origins, w: Array) -> Array:
    """Fit to what was told and may have been so; then choose origins, and fit to these again."""
    w, _ = standing(a, _logs(told), _untouched(told, origins), w)
    for _ in range(ROUNDS):
        guess = softmax(a @ w, axis=1)
        chosen, known = nearest(origins, guess)
        if np.nanquantile(np.abs(chosen - guess).max(axis=1), MOST) < STAYS:
            break
        w, _ = standing(a, _logs(chosen), known & (chosen > TINY), w, NARROW)
    return w


def _mirrored(a: Array, origins: Origins, w: Array) -> Array:
    """Choose one of the two origins of each answer of two classes, and fit to their log-odds.

    Both cannot be linear: where the one that a model is near to lies is what most answers agree on.
    """
    scale = WIDE
    for _ in range(MIRRORINGS):
        chosen, known = nearest(origins, softmax(a @ w, axis=1))
        usable = np.asarray((known & (chosen > TINY)).all(axis=1))
        logs = _logs(chosen)
        odds, scores = logs[:, 1] - logs[:, 0], a @ (w[:, 1] - w[:, 0])
        weights = usable / (1 + ((odds - scores) / scale) ** 2) ** 2
        normal = a.T @ (a * weights[:, None])
        normal[np.diag_indices(len(normal))] += 1e-10
        half = np.linalg.solve(normal, a.T @ (weights * odds)) / 2
        w = np.stack([-half, half], axis=1)
        scale = max(scale * SHRINKING, STAYS)
    return w


def _ordered(a: Array, origins: Origins, w: Array) -> Array:
    """Choose origins, and orders of values, by the model so far, and fit it to them again."""
    for _ in range(ORDERINGS):
        guess = softmax(a @ w, axis=1)
        chosen, known = nearest(origins, guess)
        if np.nanquantile(np.abs(chosen - guess).max(axis=1), MOST) < STAYS:
            break
        usable = np.asarray((known & (chosen > TINY)).all(axis=1))
        logs, scores = _logs(chosen), a @ w
        logs -= logs.mean(axis=1, keepdims=True)
        far = np.abs(logs - scores + scores.mean(axis=1, keepdims=True)).max(axis=1)
        scale = max(float(np.median(far[usable])) if usable.any() else 1.0, 1e-9)
        weights = usable / (1 + (far / scale) ** 2)
        normal = a.T @ (a * weights[:, None])
        normal[np.diag_indices(len(normal))] += 1e-10
        w = np.linalg.solve(normal, a.T @ (np.where(usable[:, None], logs, 0.0) * weights[:, None]))
    return w


def _untouched(told: Array, origins: Origins) -> Mask:
    """(n, k) entries that most origins of an answer have as they were told."""
    kept = (origins.low == origins.high) & (origins.low == told[origins.rows])
    count = np.zeros(told.shape)
    np.add.at(count, origins.rows, kept)
    return np.asarray((count > origins.counts[:, None] / 2) & (told > TINY))


def _logs(outputs: Array) -> Array:
    return np.asarray(np.log(np.nan_to_num(outputs).clip(1e-300)))

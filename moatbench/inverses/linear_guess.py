"""A first guess of a model with linear log-odds, from answers whose origins are still open."""

import numpy as np
from scipy.special import softmax

from moatbench.client import Answers
from moatbench.inverses.agreement.certain import nearly
from moatbench.inverses.agreement.stated import AGREEING, RAISED, Equations
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.inverses.standing import MANY, standing, weights_of
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
    none_stands, found = not untouched(told, origins).any(), None
    points = int(origins.pointed.sum()) * (learner.k - 1)
    if (learner.k == 2 or (none_stands and learner.k <= ALL)) and points < learner.unknowns:
        return None  # what is left are bounds
    labels = answers.labels.copy()
    labels[origins.rows] = origins.labels  # where a label was told that is not the model's
    start = label_fit(learner, answers.x, labels) if start is None else start
    model = learner.model(answers.x)
    assert isinstance(model, Linear)
    w = model.coef(start)
    if none_stands and learner.k > MANY and not origins.mixed.any():
        found = raised_together(model.a, told)
    if found is not None:
        w = found
    elif learner.k == 2:
        w = _mirrored(model.a, origins, w)
    elif origins.mixed.any() or (none_stands and learner.k <= ALL):
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
    w, _ = standing(a, _logs(told), untouched(told, origins), w)
    for _ in range(ROUNDS):
        guess = softmax(a @ w, axis=1)
        chosen, known = nearest(origins, guess)
        if np.nanquantile(np.abs(chosen - guess).max(axis=1), MOST) < STAYS:
            break
        w, _ = standing(a, _logs(chosen), known & (chosen > TINY), w, NARROW)
    return w


def raised_together(a: Array, told: Array) -> Array | None:
    """Return weights (d, k) behind answers of which many classes at a time were raised alike.

    The classes that are known by what stands tell each row's offset, and how much others of its
    classes were raised. So a class that is not known yet was told as it was, or raised by that.
    None where too little stands.
    """
    one = nearly(Equations.of(a, told), told.argmax(axis=1), told.shape[1])
    if one is None:
        return None
    w, logs = one.w.copy(), _logs(told)
    known = one.stands & one.certain
    count = known.sum(axis=1)
    rows = np.flatnonzero(count >= AGREEING)
    a, told, logs, known = a[rows], told[rows], logs[rows], known[rows]
    offset = np.where(known, logs - a @ w, 0.0).sum(axis=1) / count[rows]
    excess = told - np.exp(a @ w + offset[:, None])
    more = one.certain & (excess > STAYS)
    raised = np.array(
        [np.median(e[m]) if m.any() else 0.0 for e, m in zip(excess, more, strict=True)]
    )
    for j in np.flatnonzero(~one.certain):
        less = (told[:, j] - raised).clip(TINY)
        either = np.stack([logs[:, j], np.log(less)]) - offset
        apart = (told[:, j] < raised * (1 - STAYS)) | (told[:, j] > RAISED * raised)
        w[:, j] = _one_of_two(a, either, apart)
    return w


def _one_of_two(a: Array, either: Array, first: Mask) -> Array:
    """(d,) weights on one of `either` (2, n) of each row, on the first where that is known."""
    scale, ridge, w = WIDE, 1e-2, np.zeros(a.shape[1])
    weights, target = first.astype(float), either[0]
    while scale > STAYS:
        normal = a.T @ (a * weights[:, None])
        normal[np.diag_indices(len(normal))] += ridge
        w = np.linalg.solve(normal, a.T @ (weights * target))
        gaps = np.abs(either - a @ w)
        second = (gaps[1] < gaps[0]) & ~first
        target, gap = np.where(second, either[1], either[0]), np.where(second, gaps[1], gaps[0])
        weights = weights_of(gap / scale)
        scale, ridge = scale * SHRINKING, RIDGE * STAYS
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


def untouched(told: Array, origins: Origins) -> Mask:
    """(n, k) entries that most origins of an answer have as they were told."""
    kept = (origins.low == origins.high) & (origins.low == told[origins.rows])
    count = np.zeros(told.shape)
    np.add.at(count, origins.rows, kept)
    return np.asarray((count > origins.counts[:, None] / 2) & (told > TINY))


def _logs(outputs: Array) -> Array:
    return np.asarray(np.log(np.nan_to_num(outputs).clip(1e-300)))

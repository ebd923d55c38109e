"""Quick trials of a family on bought answers: fit some of them, predict the others."""

from dataclasses import replace

import numpy as np
from scipy.special import softmax

from moatbench.client import Answers, Card
from moatbench.learners.learner import Learner
from moatbench.learners.purchases import Purchases
from moatbench.learners.ridge_path import Batch, Split, walk
from moatbench.models.embedding import Nystrom
from moatbench.models.kernels import Kernel
from moatbench.models.linear import Linear
from moatbench.solvers import readings
from moatbench.types import Array, Generator, Mask

EXACT = readings.EXACT**2  # squared gap of an answer that is predicted exactly
RIDGES: Array = 10.0 ** -np.arange(1.0, 10.0, 2.0)
WIDTHS = 2.0 ** np.array([-4.0, -1.0, 2.0, 5.0])  # gammas, in units of 1 / columns
FEW, FINE = 8, 10.0  # answers, and possible answers for each, that show what recurs


def trial(learner: Learner, train: Purchases, exam: Purchases, rng: Generator, steps: int) -> Array:
    """(m,) squared gaps between m held-out answers and what a quick fit predicts.

    Args:
        learner: what to fit; of an RBF kernel without a width, some widths are tried.
        train: purchases to fit.
        exam: purchases to predict; they choose ridge and width too.
        rng: draws where a fit starts.
        steps: iterations, at each ridge.
    """
    if learner.family == "rbf" and learner.embedding is None:
        z = learner.encoded(train.x)
        kernels = [Kernel("rbf", float(width) / z.shape[1]) for width in WIDTHS]
        learners = [replace(learner, embedding=Nystrom.of(k, z, len(z))) for k in kernels]
    else:
        learners = [learner]
    found = [gaps(_walked(each, train, exam, rng, steps), exam) for each in learners]
    if learner.family == "softmax" and exact(train):
        model = learner.model(train.x)
        assert isinstance(model, Linear)
        theta = model.solve(readings.completed(train.outputs), rng).theta
        found.append(gaps(softmax(learner.model(exam.x).scores(theta), axis=1), exam))
    return min(found, key=lambda gap: float(gap.mean()))


def gaps(predicted: Array, bought: Purchases) -> Array:
    """(n,) squared distances of predicted outputs (n, k) from the answers, over the classes told.

    Proper for labels as for probabilities: the truth makes it least.
    """
    answers = readings.completed(bought.outputs)
    none = ~(answers.sum(axis=1) > 0)
    answers[none] = bought.targets()[none]
    cut = (answers == 0) & (answers.sum(axis=1, keepdims=True) < 1 - readings.EXACT)
    squares: Array = (np.where(cut, 0.0, predicted - answers) ** 2).sum(axis=1)
    return squares


def exact(bought: Purchases) -> bool:
    """Whether confidences come with all answers, and are not rounded."""
    outputs = bought.outputs
    return not np.isnan(outputs).any() and readings.decimals(outputs) is None


def recurring(bought: Purchases) -> bool:
    """Whether most answers are the same as another, and have too many decimals for chance.

    Answers that are sure of a class tell nothing of it: any model may be.
    """
    outputs = bought.outputs[(bought.outputs < 1).all(axis=1)]
    places = readings.decimals(outputs)
    fine = places is None or 10.0**places > FINE * len(outputs)
    return fine and len(outputs) >= FEW and 2 * len(np.unique(outputs, axis=0)) <= len(outputs)


def subset(bought: Purchases, rows: Mask, card: Card) -> Purchases:
    """Return some of the purchases."""
    part, places = Purchases(card), np.flatnonzero(rows)
    part.add(Answers(bought.x[rows], places, bought.labels[rows], bought.outputs[rows], None))
    return part


def _walked(
    learner: Learner, train: Purchases, exam: Purchases, rng: Generator, steps: int
) -> Array:
    """(m, k) outputs predicted by the best fit on a path of ridges."""
    fit, judge = (Batch(learner.model(part.x), part.targets()) for part in (train, exam))
    start = learner.model(train.x).begin(rng)
    (theta, *_), _ = walk([Split(fit, judge)], (start,), RIDGES, steps)
    return np.asarray(softmax(judge.model.scores(theta), axis=1))

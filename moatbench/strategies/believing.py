"""Whether restored answers, or answers as told, serve better; and whether labels alone do."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from moatbench.client import Answers, Card, Surrogate
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.learners.fit import HELD_OUT, surely_more
from moatbench.learners.fit import held_out as every_fifth
from moatbench.learners.published import PUBLISHED, AnyLearner, learner_for
from moatbench.learners.purchases import Purchases
from moatbench.reply import Predict
from moatbench.types import Array, Generator, Labels, Mask, Rows

LEAST = 8  # of these, to judge at all
CLEARLY = 0.8  # times as far from held-out answers as a rival, at most
OPEN = 0.1  # of the answers, of which a choice is worth the name
SAME = 1e-9  # of confidences
CHANCE = 2.0  # standard deviations, by which labels alone must foretell more

Fit = Callable[[str, Answers], Predict]  # of answers by their name


def held_out(known: Mask) -> Rows | None:
    """Return which purchases judge, of some (n,); None where these are too few to say."""
    held = np.flatnonzero(known)[HELD_OUT - 1 :: HELD_OUT]
    return held if len(held) >= LEAST else None


def best_of(options: Mapping[str, Answers], fit: Fit, labels: Labels, held: Rows) -> str:
    """Return the answers, by name, that a fit to some of them foretells the labels of others with.

    Of equals the first one is meant. The restored answers were chosen by a model of all, held-out
    ones among them, which favours them a little.

    Args:
        options: the same purchases, as they may be taken.
        fit: trains on some of them.
        labels: (n,) of the purchases, those that are held out the model's own.
        held: which are held out.
    """
    right = {
        name: (fit(name, _without(answers, held))(answers.x[held]).labels == labels[held]).sum()
        for name, answers in options.items()
    }
    return max(right, key=lambda name: int(right[name]))


def supported(
    restored: Answers, told: Answers, rival: Answers, fit: Fit, origins: Origins, held: Rows
) -> bool:
    """Return whether held-out answers speak for the choice among the origins of the others.

    What a fit to restored answers says must be nearer (in L1) to something that each held-out one
    may have been than what a fit to told ones says, and clearly nearer than after the opposite
    choice, a `rival`: where that explains them as well, nothing has been found out. Where hardly
    any answer has more than one origin, or can be its own, nothing was chosen: bounds around what
    was told would hold it.
    """

    def far(name: str, answers: Answers) -> float:
        said = fit(name, _without(answers, held))(answers.x).outputs
        assert said is not None
        gaps: Array = np.abs(nearest(origins, said)[0] - said).sum(axis=1)[held]
        return float(gaps.mean())

    ours = far("restored", restored)
    if ours >= far("told", told):
        return False
    assert told.outputs is not None
    open_ = (origins.counts > 1) | origins.holds(told.outputs, SAME)
    return bool(open_[held].mean() < OPEN) or ours < CLEARLY * far("rival", rival)


def unless_labels_do(
    surrogate: Surrogate, card: Card, bought: Purchases, soft: bool, rng: Generator
) -> Surrogate:
    """Return a surrogate, or a fit to the labels alone where that is better.

    Every fifth label is foretold by a fit to the others, and by the surrogate; this has seen all
    answers, so the labels must surely foretell more. Where it was fitted to soft labels, it is
    fitted again to the others, and of equals the labels are meant. What a model explains of
    perturbed confidences does not say that it is the victim: a stranger's rule may have moved them
    in any way.

    Args:
        surrogate: learnt from confidences.
        card: of the API.
        bought: all answers; their labels are the victim's own.
        soft: whether the surrogate was fitted to soft labels.
        rng: of training.
    """
    x, labels, held = bought.x, bought.labels, every_fifth(len(bought))
    ours = surrogate.predict(x).labels == labels
    if held.sum() < LEAST or ours.all() or (labels == labels[0]).all():
        return surrogate

    def right(learner: AnyLearner, targets: Array) -> Mask:
        if (targets[~held].min(axis=0) == 1).any():  # one label is all that there is to learn
            return np.asarray(labels[held] == targets[~held][0].argmax())
        fit = learner.fit(x[~held], targets[~held], rng)
        return np.asarray(fit.labels(x[held]) == labels[held])

    family = "softmax" if card.family == "one_vs_rest" else PUBLISHED
    learner, hard = learner_for(family, card).for_labels(), bought.targets(use_confidences=False)
    theirs = right(learner, hard)
    if soft:
        better = theirs.sum() >= right(learner_for(PUBLISHED, card), bought.targets()).sum()
    else:
        better = surely_more(theirs, ours[held], CHANCE)
    if not better:
        return surrogate
    fit = learner.fit(x, hard, rng)
    return replace(fit.surrogate(), note="labels alone: they foretell more than the confidences do")


def _without(answers: Answers, held: Rows) -> Answers:
    """Return what is not held out."""
    rest = np.ones(len(answers.rows), bool)
    rest[held] = False
    outputs = None if answers.outputs is None else answers.outputs[rest]
    path = None if answers.path is None else answers.path[rest]
    return Answers(answers.x[rest], answers.rows[rest], answers.labels[rest], outputs, path)

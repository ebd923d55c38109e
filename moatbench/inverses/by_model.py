"""Which knobs of a rule one model explains, where single answers do not tell.

Of many classes almost every answer has origins before a bump, whatever the bump. But the origins of
all of them lie on one model of linear log-odds with the right knobs alone.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from moatbench.client import Answers
from moatbench.inverses.layers import Inverse
from moatbench.inverses.linear_guess import label_fit, linear_guess
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.learners.learner import Learner
from moatbench.reply import Predict, Reply, has_outputs
from moatbench.types import Array

TRIED = 8  # rules, those that tell most nearly what was told
LEAST, DIGITS = 100, 9  # answers that are tried, where there are so many; in which two are one
ANSWERS = 2.5  # times as many equations as unknowns, of those that are tried
SCREENS = 12, 48, 10**9  # answers that must have origins, in turn
EXPLAINED, EXACT = 0.98, 1e-6  # share of the answers that lie on a model, and how near
ALIKE = 1e-9  # told by two rules that are one


class Rule(NamedTuple):
    """A rule as a function: what it tells of true answers (n, k), and its inverse."""

    tell: Callable[[Array], Array]
    inverse: Inverse


def explained_by(learner: Learner, answers: Answers, rules: Mapping[str, Rule]) -> str | None:
    """Return the rule before which one model explains nearly all answers.

    '' where there is none, and None where the answers are too few to tell.

    Rules are tried in the order in which their answers before a fit to the labels are near.

    Args:
        learner: of a family with linear log-odds.
        answers: as they were told.
        rules: by name.
    """
    told = answers.outputs
    rows = np.zeros(0, np.intp) if told is None else np.flatnonzero(has_outputs(told))
    wanted = ceil(ANSWERS * learner.unknowns / (learner.k - 1))
    if told is None or len(rows) < wanted:
        return None
    wanted = min(max(wanted, LEAST), len(rows))
    if (
        len(np.unique(told[rows[:wanted]].round(DIGITS), axis=0)) * (learner.k - 1)
        < learner.unknowns
    ):
        return None  # any model explains the same answer to all
    start = label_fit(learner, answers.x, answers.labels)
    guess = np.asarray(softmax(learner.model(answers.x[rows]).scores(start), axis=1))
    tells = {name: rule.tell(guess) for name, rule in rules.items()}
    far = {name: float(np.abs(tell - told[rows]).mean()) for name, tell in tells.items()}
    some = rows[:wanted]
    few = Answers(answers.x[some], np.arange(wanted), answers.labels[some], told[some], None)
    tried: list[Array] = []
    best, most = "", EXPLAINED
    for name in sorted(far, key=lambda name: far[name]):
        if any(np.abs(tells[name] - other).mean() < ALIKE for other in tried):
            continue
        tried.append(tells[name])
        share = _explained(learner, few, rules[name].inverse, start)
        if share >= most:
            best, most = name, share
        if most == 1 or len(tried) == TRIED:
            break
    return best


def _explained(learner: Learner, answers: Answers, inverse: Inverse, start: Array) -> float:
    """Return the share of the answers of which an origin lies on one model, the same for all."""
    every = Origins.of(Reply(answers.labels, answers.outputs))
    for several in SCREENS:
        told = every.take(np.arange(min(several, len(every.rows))))
        origins = inverse(told, None)
        if (origins.counts[told.rows] > 0).mean() < EXPLAINED:
            return 0.0
    predict = linear_guess(learner, answers, origins, start)
    return 0.0 if predict is None else on_model(predict, answers, origins)


def on_model(predict: Predict, answers: Answers, origins: Origins) -> float:
    """Return the share of the answers of which an origin is what a model says."""
    guess = predict(answers.x).outputs
    assert guess is not None
    near = np.abs(nearest(origins, guess)[0] - guess).max(axis=1)
    return float((np.nan_to_num(near, nan=1.0) < EXACT).mean())

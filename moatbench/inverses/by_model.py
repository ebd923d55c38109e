"""Which knobs of a rule one model explains, where single answers do not tell.

Of many classes almost every answer has origins before a bump, whatever the bump; of two or three,
before any rule. But the origins of all of them lie on one model of linear log-odds with the right
knobs alone.
"""

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from moatbench.client import Answers
from moatbench.inverses.layers import Inverse
from moatbench.inverses.linear_guess import label_fit, linear_guess
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest, settled
from moatbench.learners.learner import Learner
from moatbench.reply import Predict, Reply, has_outputs
from moatbench.types import Array, Generator, Labels

TRIED = 8  # rules, those that tell most nearly what was told
FEW = 3  # classes up to which all are tried: an answer has a few origins there
LEAST, DIGITS = 100, 9  # answers that are tried, where there are so many; in which two are one
ANSWERS = 2.5  # times as many equations as unknowns, of those that are tried
MORE = 4  # times as many, of few classes
SCREENS = 12, 48, 10**9  # answers that must have origins, in turn
POINTED = 0.25  # share of the answers whose origins are points: bounds hold almost any model
REDUNDANT = 1.5  # times as many equations as unknowns, where some answers are left with bounds
DRAWS = 24  # of one origin for each answer
EXPLAINED, EXACT = 0.98, 1e-6  # share of the answers that lie on a model, and how near
ALIKE = 1e-9  # told by two rules that are one


class Rule(NamedTuple):
    """A rule that may have been at work.

    Args:
        inverse: of it.
        tell: what it tells of true answers (n, k); None where more than these decide.
        reorders: whether it forgets whose confidences are whose: any answer may then have been
            told.
    """

    inverse: Inverse
    tell: Callable[[Array], Array] | None
    reorders: bool = False

    @classmethod
    def of(cls, inverse: Inverse, tell: Callable[[Array], Array] | None, k: int) -> "Rule":
        """Try the inverse on an answer of k classes."""
        some = Origins.of(
            Reply(np.zeros(1, np.int64), np.arange(k, 0, -1.0)[None] * 2 / (k * (k + 1)))
        )
        return cls(inverse, tell, bool(inverse(some, None).mixed.any()))


def explained_by(
    learner: Learner, answers: Answers, rules: Mapping[str, Rule], every: bool
) -> str | None:
    """Return the rule before which one model explains nearly all answers.

    '' where there is none, or one explains them as they were told, and None where the answers are
    too few to tell.

    Rules are tried in the order in which their answers before a fit to the labels are near; those
    that more than the true answer decides come last.

    Args:
        learner: of a family with linear log-odds.
        answers: as they were told.
        rules: by name.
        every: whether all are tried where there are few classes, as single answers spoke for none;
            those that change the order of values are tried always.
    """
    told = answers.outputs
    rows = np.zeros(0, np.intp) if told is None else np.flatnonzero(has_outputs(told))
    wanted = ceil(ANSWERS * learner.unknowns / (learner.k - 1))
    if told is None or len(rows) < wanted:
        return None
    more = MORE * wanted if learner.k <= FEW else 0  # many of which are bounds, or mirrored
    wanted = min(max(wanted, LEAST, more), len(rows))
    if (
        len(np.unique(told[rows[:wanted]].round(DIGITS), axis=0)) * (learner.k - 1)
        < learner.unknowns
    ):
        return None  # any model explains the same answer to all
    start = label_fit(learner, answers.x, answers.labels)
    guess = np.asarray(softmax(learner.model(answers.x[rows]).scores(start), axis=1))
    some = rows[:wanted]
    few = Answers(answers.x[some], np.arange(wanted), answers.labels[some], told[some], None)
    if _on_one(learner, few, start):
        return ""  # as told: any rule that leaves a model of the family would do as well
    best, most = "", EXPLAINED
    for name in _in_order(rules, guess, told[rows], every and learner.k <= FEW):
        share = _explained(learner, few, rules[name], start)
        if share >= most:
            best, most = name, share
        if most == 1:
            break
    return best or _reordering(learner, answers.take(rows), rules, start)


def _on_one(learner: Learner, answers: Answers, start: Array) -> bool:
    """Whether one model explains the answers as they were told."""
    told = Origins.of(Reply(answers.labels, answers.outputs))
    predict = linear_guess(learner, answers, told, start)
    return predict is not None and on_model(predict, answers, told) > EXPLAINED


def _reordering(learner: Learner, answers: Answers, rules: Mapping[str, Rule], start: Array) -> str:
    """Return the rule that changed the order of values which one model tells; '' for none."""
    told = Origins.of(Reply(answers.labels, answers.outputs))
    for name, rule in rules.items():
        if not rule.reorders:
            continue
        origins = rule.inverse(told, None)
        predict = linear_guess(learner, answers, origins, start)
        if predict is None or on_model(predict, answers, told) > EXPLAINED:
            continue
        if on_model(predict, answers, origins) > EXPLAINED:
            return name
    return ""


def _in_order(rules: Mapping[str, Rule], guess: Array, told: Array, every: bool) -> list[str]:
    """Return the rules to try: first those that tell most nearly what was told, of the guess."""
    tells = {name: rule.tell(guess) for name, rule in rules.items() if rule.tell is not None}
    far = {name: float(np.abs(tell - told).mean()) for name, tell in tells.items()}
    chosen: list[str] = []
    for name in sorted(far, key=lambda name: far[name]):
        if all(np.abs(tells[name] - tells[other]).mean() >= ALIKE for other in chosen):
            chosen.append(name)
        if len(chosen) == TRIED and not every:
            break
    others = [name for name in rules if every and name not in tells]
    return chosen + [name for name in others if not rules[name].reorders]


def _explained(learner: Learner, answers: Answers, rule: Rule, start: Array) -> float:
    """Return the share of the answers of which an origin lies on one model, the same for all."""
    every = Origins.of(Reply(answers.labels, answers.outputs))
    for several in SCREENS:
        told = every.take(np.arange(min(several, len(every.rows))))
        origins = rule.inverse(told, None)
        if (origins.counts[told.rows] > 0).mean() < EXPLAINED:
            return 0.0
        if origins.pointed[told.rows].mean() < POINTED:
            return 0.0
    sure = np.ones(len(answers.x), bool)
    if rule.tell is None:  # what is left of an answer may be bounds, which hold any guess
        sure = origins.pointed
        if sure.sum() * (learner.k - 1) < REDUNDANT * learner.unknowns:
            return 0.0
        origins = origins.take(sure[origins.rows])
    predict = linear_guess(learner, answers, origins, start)
    return 0.0 if predict is None else on_model(predict, answers, origins) / float(sure.mean())


def guessed(learner: Learner, answers: Answers, origins: Origins, rng: Generator) -> Predict | None:
    """Return a model of linear log-odds on which the origins lie; else the first that was found.

    Where a rule moved the labels, those of the origins are a start, those that were told another,
    and the mean of the origins a third; of few classes, draws of the origins are more.
    """
    found = linear_guess(learner, answers, origins)
    if found is None or (answers.labels[origins.rows] == origins.labels).all():
        return found
    if on_model(found, answers, origins) > EXPLAINED:
        return found
    for labels in _starts(answers, origins, rng):
        other = linear_guess(learner, answers, origins, label_fit(learner, answers.x, labels))
        if other and on_model(other, answers, origins) > EXPLAINED:
            return other
    return found


def _starts(answers: Answers, origins: Origins, rng: Generator) -> Iterator[Labels]:
    """Yield labels that the answers may have had."""
    yield answers.labels
    yield np.nan_to_num(settled(origins, None)).argmax(axis=1)
    tops = (origins.low + origins.high).argmax(axis=1)
    for _ in range(DRAWS if origins.k <= FEW else 0):
        order = np.lexsort((rng.random(len(tops)), origins.rows))
        labels = answers.labels.copy()
        labels[origins.rows[order]] = tops[order]  # the last of an answer stays
        yield labels


def on_model(predict: Predict, answers: Answers, origins: Origins) -> float:
    """Return the share of the answers of which an origin is what a model says."""
    guess = predict(answers.x).outputs
    assert guess is not None
    near = np.abs(nearest(origins, guess)[0] - guess).max(axis=1)
    return float((np.nan_to_num(near, nan=1.0) < EXACT).mean())

"""An API whose answers are put through the inverse of its defense, and a record to run again."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.client import Answers, Card
from moatbench.inverses.by_model import EXPLAINED, Rule, explained_by, guessed, on_model
from moatbench.inverses.explained import explaining
from moatbench.inverses.hypotheses import SAMPLE, spoken_for
from moatbench.inverses.origins import Origins, stacked
from moatbench.inverses.settling import farthest, settled
from moatbench.inverses.sigmoids import sigmoid_guess
from moatbench.inverses.steps import ALL
from moatbench.learners.published import (
    PUBLISHED,
    learner_for,
    linear_odds,
    odds_learner,
    smooth_learner,
)
from moatbench.reply import Predict, Reply, has_outputs
from moatbench.strategies.view import View
from moatbench.types import Array, Generator, Rows

ENOUGH = 0.25  # of the answers; where so many have one origin alone, the others wait
REDUNDANT = 1.5  # equations an unknown, of which some may be chosen by a guess


class Restored(View):
    """An API whose answers are restored, as well as can be told when they are given.

    Args:
        api: what is asked.
        inverses: what may undo its defense, by name; of several, the one that the first answers
            speak for, or none.
        rules: what may be its defense, by name; one with which a model of linear log-odds explains
            the answers is preferred to all inverses.
        keeps_labels: whether the labels told are the model's; else they are the restored answers'.
    """

    def __init__(
        self,
        api: PredictionAPI,
        inverses: Mapping[str, Rule],
        rules: Mapping[str, Rule],
        keeps_labels: bool,
    ) -> None:
        super().__init__(api)
        self._inverses, self._keeps_labels = dict(inverses), keeps_labels
        self._rules, self._by_model = rules, False
        self._name = next(iter(inverses), "")
        self._told: list[Answers] = []
        self._origins: list[Origins] = []
        self._given: list[Answers] = []
        self._explaining = explaining(self.card)
        self.guess: Predict | None = None  # the model, as far as it is known

    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        """Ask each row once."""
        at = self._api.queries
        answers = self._api.query(x, account)
        known = sum(map(len, (part.rows for part in self._told)))
        told, before = answers._replace(rows=at + answers.rows), len(self._given)
        for piece in self._explaining.pieces(told, known) if self._explaining else [told]:
            self._hear(piece, known)
        return Answers.joined(self._given[before:])._replace(rows=answers.rows)

    def _hear(self, told: Answers, known: int) -> None:
        """Undo more answers."""
        self._told.append(told)
        if len(self._inverses) > 1 and known < SAMPLE and not self._by_model:
            self._choose()
        self._undo_next()
        certain = self._mostly_certain or self._origins[-1].certain.all()
        guess = None if certain else self._guessed(told.x)
        self._given.append(self._settled(told, self._origins[-1], guess))

    @property
    def given(self) -> Answers:
        """All answers so far as they were given, rows counted from the first query."""
        return Answers.joined(self._given)

    @property
    def restored(self) -> Answers:
        """All answers so far as they are believed to have been by now."""
        answers = Answers.joined(self._told)
        guided = len(self.card.classes) > ALL and self.guess is not None
        origins = self._undo(answers) if guided else stacked(self._origins)
        return self._settled(answers, origins, self._guessed(answers.x))

    @property
    def told(self) -> Answers:
        """All answers so far as they were told."""
        return Answers.joined(self._told)

    @property
    def origins(self) -> Origins:
        """Of all answers so far."""
        return stacked(self._origins)

    @property
    def rival(self) -> Answers:
        """All answers so far, each as that of its origins which is least like the model."""
        guess = self._guessed(self.told.x)
        if guess is None:
            return self.restored
        outputs = farthest(self.origins, guess)
        labels = np.nan_to_num(outputs).argmax(axis=1)
        return self.told._replace(labels=labels, outputs=outputs)

    @property
    def undoes(self) -> bool:
        """Whether there is anything that it undoes."""
        return bool(self._name)

    def guess_first(self, rng: Generator) -> None:
        """Where few answers have one origin, guess a model of linear log-odds by all of them.

        Draws of the origins may be starts.
        """
        card = self.card
        if self._name and self._mostly_certain and not self._rules:
            return
        if card.family == "one_vs_rest" and len(card.classes) > 2:
            self._guess_sigmoids()
        if not linear_odds(card):
            return
        learner, answers = odds_learner(card), Answers.joined(self._told)
        origins = stacked(self._origins)
        found = guessed(learner, answers, origins, rng) if self._name else None
        if self._rules and not (found and on_model(found, answers, origins) > EXPLAINED):
            name = explained_by(learner, answers, self._rules, every=not self._name)
            if name:
                self._inverses[name], self._name = self._rules[name], name
                self._by_model = True
                self._undo_again(self._told)
                found = guessed(learner, answers, stacked(self._origins), rng)
            # Orders of values take more answers to tell than other rules
            kept = {n: rule for n, rule in self._rules.items() if rule.reorders and not name}
            self._rules = self._rules if name is None else kept
        self.guess = found or self.guess

    def _guess_sigmoids(self) -> None:
        """Guess a one-vs-rest regression by all answers, where one is certified."""
        if not self._name:
            return
        learner, origins = smooth_learner("one_vs_rest", self.card), stacked(self._origins)
        self.guess = sigmoid_guess(learner, Answers.joined(self._told), origins) or self.guess

    @property
    def determined(self) -> bool:
        """Whether a model that explains the answers must be the true one.

        It is where those with one origin suffice, or where there are more than suffice of all that
        have points alone: a guess may choose their origins so that any model explains few of them.
        Bounds leave room for any guess. Where values are told out of order, two classes that were
        never the label may change places.
        """
        learner, told = learner_for(PUBLISHED, self.card), stacked(self._origins)
        unled = learner.k - len(np.unique(told.labels))
        if told.mixed.any() and unled > 1:
            return False
        sure, every = ((learner.k - 1) * int(m.sum()) for m in (told.certain, told.pointed))
        return sure >= learner.unknowns or every >= REDUNDANT * learner.unknowns

    @property
    def note(self) -> str:
        """What was undone, and how many answers have one origin, or none."""
        if not self._name:
            return "answers as told: they speak for no known perturbation"
        origins = stacked(self._origins)
        told = has_outputs(_outputs(Answers.joined(self._told), len(self.card.classes)))
        if not told.any():
            return f"no answers to undo {self._name} of"
        near = self._explaining.near if self._explaining else np.zeros(len(told), bool)
        none, sought = (origins.counts[told] == 0).mean(), told & ~near
        one = origins.certain[sought].mean() if sought.any() else 0.0
        lost = f", {none:.1%} have none: no true answer leads to them" if none else ""
        others = f"; {near.sum()} others lie where the model of these says" if near.any() else ""
        which = f"{sought.sum()} answers" if near.any() else "the answers"
        return f"{self._name} undone: {one:.1%} of {which} have one origin{lost}{others}"

    def _choose(self) -> None:
        """Find the inverse that the answers speak for, and undo with it what was told so far."""
        told = self._as_origins(Answers.joined(self._told))
        best = spoken_for([rule.inverse for rule in self._inverses.values()], told)
        self._name = "" if best is None else list(self._inverses)[best]
        self._undo_again(self._told[:-1])

    def _undo_again(self, parts: Sequence[Answers]) -> None:
        """Undo what was told so far by another rule."""
        self._origins, self._explaining = [], explaining(self.card)
        for _ in parts:
            self._undo_next()

    def _undo_next(self) -> None:
        """Undo the first part of what was told that is not yet, and look for a model of all."""
        known = len(self._origins)
        self._origins.append(self._undo(self._told[known]))
        rule = self._inverses.get(self._name)
        if self._explaining and rule and rule.tell and not self._mostly_certain:
            known_so_far = Answers.joined(self._told[: known + 1])
            self._explaining.look(known_so_far, stacked(self._origins))

    def _undo(self, answers: Answers) -> Origins:
        told = self._as_origins(answers)
        if not self._name:
            return told
        inverse = self._inverses[self._name].inverse
        if self._explaining:
            return self._explaining.undo(inverse, told, answers.x)
        return inverse(told, self._guessed(answers.x) if told.k > ALL else None)

    def _as_origins(self, answers: Answers) -> Origins:
        outputs = _outputs(answers, len(self.card.classes))
        return Origins.of(Reply(answers.labels, outputs))

    def _guessed(self, x: Array) -> Array | None:
        """(n, k) what the model, as far as it is known, says; None while nothing is known."""
        return self.guess(x).outputs if self.guess is not None and len(x) else None

    def _settled(self, answers: Answers, origins: Origins, guess: Array | None) -> Answers:
        """Choose among the origins by a guess; without one, leave out what is open."""
        outputs = settled(origins, guess)
        if guess is None and (self._keeps_labels or self._mostly_certain):
            outputs[~origins.certain] = np.nan
        labels, found = answers.labels.copy(), has_outputs(outputs)
        if not self._keeps_labels:
            labels[found] = outputs[found].argmax(axis=1)
        return answers._replace(labels=labels, outputs=outputs)

    @property
    def _mostly_certain(self) -> bool:
        """Whether so many answers have one origin that the others may wait for a good guess."""
        return bool(stacked(self._origins).certain.mean() >= ENOUGH)


class Replayed(PredictionAPI):
    """An API that gives the answers of another one again, in order, whatever it is asked.

    Whoever trains on the inputs that were answered, which an answer tells, learns the same as from
    the first time, but from other answers.

    Args:
        card: of the other one.
        answers: to be given, rows counted from the first query.
        queries: after which it is asked for a surrogate.
    """

    def __init__(self, card: Card, answers: Answers, queries: int) -> None:
        super().__init__(card, [queries])
        self._answers = answers

    @property
    def waited(self) -> float:
        """Nothing: all was waited for the first time."""
        return 0.0

    @property
    def per_account(self) -> Mapping[str, int]:
        """Nobody's: all was asked the first time."""
        return MappingProxyType({})

    def _ask(self, x: Array, account: str) -> Answers:
        first = self.queries - len(x)
        rows = self._answers.rows
        given = self._answers.take(np.flatnonzero((rows >= first) & (rows < self.queries)))
        return given._replace(rows=given.rows - first)


def _outputs(answers: Answers, k: int) -> Array:
    """(n, k) the outputs told; NaN where none are."""
    return np.full((len(answers.rows), k), np.nan) if answers.outputs is None else answers.outputs

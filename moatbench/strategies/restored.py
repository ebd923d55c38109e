"""An API whose answers are put through the inverse of its defense, and a record to run again."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.client import Answers, Card
from moatbench.inverses.by_model import EXPLAINED, Rule, explained_by, on_model
from moatbench.inverses.hypotheses import SAMPLE, spoken_for
from moatbench.inverses.layers import Inverse
from moatbench.inverses.linear_guess import linear_guess
from moatbench.inverses.origins import Origins, stacked
from moatbench.inverses.settling import farthest, settled
from moatbench.inverses.steps import ALL
from moatbench.learners.published import PUBLISHED, learner_for, smooth_learner
from moatbench.reply import Predict, Reply, has_outputs
from moatbench.strategies.view import View
from moatbench.types import Array, Rows

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
        inverses: Mapping[str, Inverse],
        rules: Mapping[str, Rule],
        keeps_labels: bool,
    ) -> None:
        super().__init__(api)
        self._inverses, self._keeps_labels = dict(inverses), keeps_labels
        self._rules = rules
        self._name = next(iter(inverses), "")
        self._told: list[Answers] = []
        self._origins: list[Origins] = []
        self._given: list[Answers] = []
        self._one_origin = 0  # of the answers
        self.guess: Predict | None = None  # the model, as far as it is known

    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        """Ask each row once."""
        at = self._api.queries
        answers = self._api.query(x, account)
        known = sum(map(len, (part.rows for part in self._told)))
        self._told.append(answers._replace(rows=at + answers.rows))
        if len(self._inverses) > 1 and known < SAMPLE:
            self._choose()
        self._origins.append(self._undo(answers))
        certain = self._mostly_certain or self._origins[-1].certain.all()
        guess = None if certain else self._guessed(answers.x)
        self._given.append(self._settled(self._told[-1], self._origins[-1], guess))
        return self._given[-1]._replace(rows=answers.rows)

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

    def guess_first(self) -> None:
        """Where few answers have one origin, guess a model of linear log-odds by all of them."""
        card = self.card
        linear = card.family in ("logistic", "softmax")
        if not linear or (self._name and self._mostly_certain):
            return
        learner, answers = smooth_learner("softmax", card), Answers.joined(self._told)
        origins = stacked(self._origins)
        found = linear_guess(learner, answers, origins) if self._name else None
        if self._rules and not (found and on_model(found, answers, origins) > EXPLAINED):
            name = explained_by(learner, answers, self._rules, every=not self._name)
            if name:
                self._inverses[name], self._name = self._rules[name].inverse, name
                self._origins = [self._undo(part) for part in self._told]
                found = linear_guess(learner, answers, stacked(self._origins))
            self._rules = self._rules if name is None else {}
        self.guess = found or self.guess

    @property
    def determined(self) -> bool:
        """Whether a model that explains the answers must be the true one.

        It is where those with one origin suffice, or where there are more than suffice of all that
        have points alone: a guess may choose their origins so that any model explains few of them.
        Bounds leave room for any guess.
        """
        learner, told = learner_for(PUBLISHED, self.card), stacked(self._origins)
        sure, every = ((learner.k - 1) * int(m.sum()) for m in (told.certain, told.pointed))
        return sure >= learner.unknowns or every >= REDUNDANT * learner.unknowns

    @property
    def note(self) -> str:
        """What was undone, and how many answers have one origin, or none."""
        if not self._name:
            return "answers as told: they speak for no known perturbation"
        origins = stacked(self._origins)
        told = has_outputs(_outputs(Answers.joined(self._told), len(self.card.classes)))
        one, none = origins.certain[told].mean(), (origins.counts[told] == 0).mean()
        lost = f", {none:.1%} have none: no true answer leads to them" if none else ""
        return f"{self._name} undone: {one:.1%} of the answers have one origin{lost}"

    def _choose(self) -> None:
        """Find the inverse that the answers speak for, and undo with it what was told so far."""
        told = self._as_origins(Answers.joined(self._told))
        best = spoken_for(list(self._inverses.values()), told)
        self._name = "" if best is None else list(self._inverses)[best]
        self._origins = [self._undo(part) for part in self._told[:-1]]

    def _undo(self, answers: Answers) -> Origins:
        told = self._as_origins(answers)
        guess = self._guessed(answers.x) if told.k > ALL else None
        return self._inverses[self._name](told, guess) if self._name else told

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
        given = self._answers
        which = np.flatnonzero((given.rows >= first) & (given.rows < self.queries))
        outputs = None if given.outputs is None else given.outputs[which]
        path = None if given.path is None else given.path[which]
        rows = given.rows[which] - first
        return Answers(given.x[which], rows, given.labels[which], outputs, path)


def _outputs(answers: Answers, k: int) -> Array:
    """(n, k) the outputs told; NaN where none are."""
    return np.full((len(answers.rows), k), np.nan) if answers.outputs is None else answers.outputs

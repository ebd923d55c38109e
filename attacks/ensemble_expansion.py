"""Ensembles of trees, term by term: a sum of products of tests, seen from one ordinary input.

A sum of trees is also a sum of weights, each of which counts where a few tests come out otherwise
than at an anchor. That sum is short where trees are shallow, does not care which tree a term comes
from, and each answer that it does not explain holds a missing term. Source: ours.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moatbench.attack import Attack, Needs, Target
from moatbench.client import Answers, Surrogate
from moatbench.knobs import check_whole
from moatbench.learners.committee import bootstrapped
from moatbench.learners.grown_tree import clueless
from moatbench.learners.published import trees_for
from moatbench.learners.purchases import Purchases
from moatbench.reply import has_outputs
from moatbench.solvers.expansion.book import Book
from moatbench.solvers.expansion.choice import chosen, learnt
from moatbench.solvers.expansion.coordinates import Coordinates
from moatbench.solvers.expansion.expansion import Expansion
from moatbench.solvers.expansion.mixes import Mixes
from moatbench.solvers.expansion.scale import COARSEST, Scale
from moatbench.traits import AnswerGrid
from moatbench.types import Array, Generator

LOGS = frozenset({"gradient_boosting", "hist_gradient_boosting"})  # trees add to log-odds
PLAIN = frozenset({"tree", "regression_tree", "random_forest"})  # and to the outputs themselves
BREAK = frozenset({"noisy", "perturbs", "relabels", "off_data", "marks", "tells_nothing", "other"})
MOST = 0.9  # of the answers, that must tell confidences: labels alone tell no terms
OPEN = 0.01  # of the answers, that may have another largest class than the label, or none
CHUNK = 64  # draws at a time
WHOLE_GRIDS = (AnswerGrid("decimals", 0), AnswerGrid("bins", 2))  # what makes shares 0 and 1
TRIAL = 500  # draws, after which half as many questions show whether the model is a small one
HARD = 0.8  # share of draws that terms do not explain then: it is not
NEIGHBOURS = 4  # of the anchor, each on a feature of its own
VARYING = 3  # of them that are all answered otherwise: a tree has no such thresholds
NEAR = 2.0**-40  # share of a feature's range, to a neighbour
MEMBERS = 4  # boosters that are to differ, where the model is no small one
OTHERWISE = "equal inputs are answered otherwise"
DIVERGING = "answers contradict each other as those of no sum of trees do"
# Answers of a forest that are all 0 and 1 may be one tree's, or votes of many: searches tell. After
# so many questions terms must leave less than this share of what the likeliest answer leaves open
WHOLE = ((TRIAL // 4, 1.0), (TRIAL, 0.5))
VOTES = "the answers are 0 and 1 alone"
ROUNDED_VOTES = f"{VOTES}, and the defense rounds a forest's shares to them"
MANY_VOTES = f"{VOTES}, and terms explain few: votes of a forest, or a tree that is too large"
DIVISIVE = 0.6  # of the questions then, those on which they do


@dataclass(frozen=True)
class EnsembleExpansion(Attack):
    """Buy draws and learn from them; then search term by term what the answers do not explain.

    At a checkpoint held-out draws choose among a booster of all answers, the terms found, and these
    with a booster of what they leave over. Where nothing is left over, further draws bound what is
    unseen, and the gaps of thresholds are halved to the last bit. Answers that vary, or that a
    defense changes by more than few decimals, leave the booster alone.

    Args:
        draws: inputs that nobody chose, before terms are searched; after 500 of them
            a few searches show whether the model is small, and go on if it is.
        width: searches side by side; each asks one or a few questions a call.
    """

    draws: int
    width: int

    needs: ClassVar[Needs] = Needs(confidences=True, families=LOGS | PLAIN, classes=False)
    against: ClassVar[frozenset[str]] = frozenset({"quantises"})

    def __post_init__(self) -> None:
        check_whole("ensemble_expansion: draws", self.draws, 1)
        check_whole("ensemble_expansion: width", self.width, 1)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Spend up to each checkpoint, in the middle of a batch where need be."""
        session = _Session(self, target, rng)
        for checkpoint in target.api.checkpoints:
            session.spend(checkpoint - target.api.queries)
            yield session.surrogate()

    def learn(self, target: Target, answers: Answers, rng: Generator) -> Surrogate:
        """Grow boosted trees: the terms lie between questions that other answers led to."""
        bought = Purchases(target.api.card)
        bought.add(answers)
        return learnt(target.api.card, bought, rng, "")


class _Session:
    """One run: what was asked, and what is made of it."""

    def __init__(self, attack: EnsembleExpansion, target: Target, rng: Generator) -> None:
        self._attack, self._api = attack, target.api
        self._card = target.api.card
        drawing, self._naming, self._training = rng.spawn(3)
        self._at = Coordinates(self._card.space, target.pool)
        self._mixes = Mixes(self._card.space, target.pool, drawing)
        self._bought = Purchases(self._card)
        self._asked: list[tuple[Array, Answers]] = []  # before there is a book
        self._book: Book | None = None
        self._expansion: Expansion | None = None
        self._read_at = 0  # answers at which their precision was last looked at
        self._trials: list[tuple[int, float]] = []  # queries, and what must be explained by then
        traits = target.known.traits
        self._may_withhold = traits is None or "truncates" in traits.kinds
        self._rounds_whole = traits is not None and traits.answer_grid in WHOLE_GRIDS
        broken = BREAK & traits.kinds if traits is not None else frozenset()
        self._reason = f"the defense is {', '.join(sorted(broken))}" if broken else ""
        self._steps = self._questions()
        self._waiting = np.empty((0, len(self._at.anchor)))

    def spend(self, queries: int) -> None:
        """Ask what is to be known next, exactly so often."""
        while queries:
            if not len(self._waiting):
                self._waiting = next(self._steps)
            batch, self._waiting = self._waiting[:queries], self._waiting[queries:]
            queries -= len(batch)
            self._take(batch, self._api.query(self._at.rows(batch)))

    def _take(self, asked: Array, answers: Answers) -> None:
        self._bought.add(answers)
        if self._book is None:
            self._asked.append((asked, answers))
        else:
            self._enter(self._book, asked, answers)

    def _enter(self, book: Book, asked: Array, answers: Answers) -> None:
        """Write answers into the book; what was refused, or told as a label only, is None."""
        outputs, values = answers.outputs, self._at.values(answers.x)
        told = np.zeros(len(answers.x), bool) if outputs is None else has_outputs(outputs)
        whole = told.copy()
        if outputs is not None and told.any():
            start = book.n
            book.add(values[told], outputs[told])
            for i, row in enumerate(answers.rows[told], start):
                book.note(asked[row], i)
            whole[told] = np.isfinite(book.slack[start : book.n])
        book.bare += zip(values[~whole], answers.labels[~whole].tolist(), strict=True)
        for values in asked:
            book.note(values, None)

    def _questions(self) -> Iterator[Array]:
        """Ask the anchor twice and beside it, then draws, then what tells terms."""
        draw = self._draw
        yield self._probes()
        while self._api.queries < min(TRIAL, self._attack.draws):
            yield draw(CHUNK)
        self._reason = self._reason or self._varying() or self._open_book()
        while self._reason or self._expansion is None or self._book is None:
            yield draw(CHUNK)
        questions, end = self._expansion.questions(), self._api.queries + TRIAL // 4
        while self._expansion is not None and self._api.queries < self._attack.draws:
            if self._api.queries < end or self._expansion.open_share < HARD:
                yield next(questions)
            else:
                yield self._round(self._expansion)
            self._give_up()
        while self._expansion is not None:
            yield next(questions)
            self._look()
            self._give_up()
        while True:
            yield draw(CHUNK)

    def _round(self, expansion: Expansion) -> Array:
        """(m, J) as many inputs as were asked before, most of them such as divide models of those.

        These teach the booster more; the draws among them alone judge.
        """
        card, bought = self._card, self._bought
        n = min(self._api.queries, self._attack.draws - self._api.queries)
        if card.family not in LOGS or not card.full:  # where forests differ is chance
            return expansion.draws(CHUNK)
        answered, rng = (bought.x, bought.targets()), self._training
        size = len(bought)
        draws = (rng.integers(size, size=size) for _ in range(MEMBERS))
        committee = bootstrapped(trees_for(card), answered, draws, rng)
        divisive = self._mixes.divisive(committee, int(DIVISIVE * n))
        expansion.chosen += len(divisive)
        return np.vstack([self._at.values(divisive), expansion.draws(n - len(divisive))])

    def _draw(self, n: int) -> Array:
        return self._at.values(self._mixes.draw(n))

    def _probes(self) -> Array:
        """(m, J) the anchor twice, and values next to it, each on another numeric feature."""
        space, at = self._card.space, self._at
        near = [at.anchor, at.anchor]
        for j, columns in enumerate(space.columns):
            if at.nominal[j]:
                continue
            low, high = space.low[columns.start], space.high[columns.start]
            side = 1 if at.anchor[j] < (low + high) / 2 else -1
            values = at.anchor.copy()
            values[j] += side * max(NEAR * (high - low), space.steps[columns.start])
            near.append(values)
        return np.array(near[: 2 + NEIGHBOURS])

    def _varying(self) -> str:
        """Say that equal rows, or all neighbours, are answered otherwise; '' where they are not."""
        told: dict[bytes, set[bytes]] = {}
        first = self._bought.x[: 2 + NEIGHBOURS], self._bought.outputs
        probed = {row.tobytes() for row in self._at.rows(self._probes())}
        for x, answer in zip(*first, strict=False):
            if x.tobytes() in probed:  # others were asked in place of what was refused
                told.setdefault(x.tobytes(), set()).add(answer.tobytes())
        if any(len(answers) > 1 for answers in told.values()):
            return OTHERWISE
        if len(told) > VARYING and len(set().union(*told.values())) == len(told):
            return "inputs next to each other are all answered otherwise"
        return ""

    def _open_book(self) -> str:
        """Begin the expansion; say why it cannot be."""
        outputs = self._bought.outputs
        told = has_outputs(outputs)
        if not told.any():
            return "no confidences are told"
        if told.mean() < MOST:
            return f"{told.mean():.0%} of the answers tell confidences"
        scale = self._scale(outputs[told])
        if scale.logs and scale.step > COARSEST:
            return "confidences are rounded to less than 3 decimals"
        unlike = (outputs[told].argmax(axis=1) != self._bought.labels[told]).mean()
        if unlike > OPEN:
            return f"{unlike:.0%} of the answers leave open which class is the label"
        whole = self._card.family == "random_forest" and np.isin(outputs[told], (0, 1)).all()
        if whole and self._rounds_whole:
            return ROUNDED_VOTES
        known = np.isfinite(scale.read(outputs[told])[1])
        if known.mean() < MOST:
            return f"{known.mean():.0%} of the answers tell of all classes"
        book = Book(self._at, scale)
        for asked, answers in self._asked:
            self._enter(book, asked, answers)
        drawn = np.concatenate([asked for asked, _ in self._asked])[len(self._probes()) :]
        self._asked = []
        anchor = book.place(self._at.anchor)
        if anchor is None:
            self._at.anchor = book.values[0].copy()
            anchor = 0
        book.add_term((), anchor)
        self._book = book
        self._expansion = Expansion(book, self._draw, self._attack.width, self._naming)
        self._expansion.drawn = [row.tobytes() for row in drawn]
        if whole:
            self._trials = [(self._api.queries + n, share) for n, share in WHOLE]
        return ""

    def _scale(self, outputs: Array) -> Scale:
        """Return the scale that (n, k) outputs speak for."""
        card = self._card
        # What is told of a tree is a tree's again, whatever is left out
        cut = self._may_withhold and card.family == "random_forest"
        return Scale.of(outputs, card.family in LOGS, card.full, cut)

    def _look(self) -> None:
        """Read answers anew that prove finer than they seemed."""
        book = self._book
        if book is not None and book.n >= 2 * self._read_at:
            self._read_at = book.n
            scale = self._scale(book.outputs[: book.n])
            if scale != book.scale:
                book.rescale(scale)

    def _give_up(self) -> None:
        """Leave the sum where answers contradict each other, or are votes."""
        if reason := self._contradiction() or self._votes():
            self._reason = reason
            self._book = self._expansion = None

    def _contradiction(self) -> str:
        """Say how answers contradict each other; '' where they do not."""
        if self._book is None or not (self._book.diverges or self._book.varies):
            return ""
        return OTHERWISE if self._book.varies else DIVERGING

    def _votes(self) -> str:
        """Say that terms explain few of whole answers; '' where it is too early to tell."""
        if self._expansion is None or not self._trials or self._api.queries < self._trials[0][0]:
            return ""
        _, most = self._trials.pop(0)
        expansion = self._expansion
        return MANY_VOTES if expansion.open_share > most * expansion.unlike_share else ""

    def surrogate(self) -> Surrogate:
        """Return what predicts held-out draws best; before there is a book, what was learnt."""
        if not len(self._bought):
            return clueless(self._card)
        # Answers may contradict each other from this batch on; what is asked next does not change
        reason = self._contradiction()
        if reason or self._expansion is None:
            reason = reason or self._reason
            return learnt(self._card, self._bought, deepcopy(self._training), reason)
        self._expansion.settle()  # a checkpoint may lie within a batch
        return chosen(self._expansion, self._card, deepcopy(self._training))

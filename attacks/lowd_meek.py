"""Find the decision boundary itself, by the labels of the points on either side of it."""

from collections.abc import Generator as Coroutine
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Surrogate
from moatbench.knobs import check_whole
from moatbench.learners.learner import Learner
from moatbench.learners.published import ignorant
from moatbench.learners.purchases import Purchases
from moatbench.models.embedding import Monomials
from moatbench.reply import Reply
from moatbench.search.bisection import Brackets, null_vector
from moatbench.solvers.reconstruction import in_units
from moatbench.types import Array, Generator, Rows

LINEAR = ("logistic", "softmax", "linear_svm")
POLYNOMIAL = "poly_svm"
TRIES = 16  # pairs of corners that are asked for one whose labels differ
COARSE = 1e-9  # of a line: what is still in doubt is a step
SPARE = 1.2  # random lines an unknown: a crossing next to another one tells nothing new

Asking = Coroutine[Surrogate, None, Array]
Working = Coroutine[Surrogate, None, None]


@dataclass(frozen=True)
class LowdMeek(Attack):
    """Solve for a hyperplane through points of the boundary, found by line searches in lockstep.

    A linear model, as in the source: between a positive and a negative input a binary search finds
    the *sign witness*, a feature that alone turns the label; then one line search a feature gives
    the ratio of its weight to the witness's. All searches are halved in turn, so that the surrogate
    improves with every query, and lines on which the witness's range is too short are searched
    along the other feature. A feature with steps is no witness where another will do, and a line
    that ends between two of its steps is followed by one along the features without. A polynomial
    kernel is linear in the monomials of its inputs: there the lines join random inputs of different
    labels, and the plane is the null space of their crossings, lifted. Until the searches are
    narrow, logistic regression on all answers is better.

    Departs from Tramèr et al.'s script, which reads the target's intercept, starts from test data
    and makes calls that it does not count.

    Args:
        most: monomials beyond which a polynomial kernel is not attacked.

    Source: Lowd and Meek 2005, "Adversarial Learning", sec. 4; Tramèr et al. 2016, sec. 6.
    """

    most: int

    against = frozenset({"withholds"})
    labels_only = True
    needs = Needs(families=frozenset({*LINEAR, POLYNOMIAL}), numeric=True)

    def __post_init__(self) -> None:
        check_whole("lowd_meek: most", self.most, 1, hint="; it counts monomials, for example 500")

    def unmet(self, target: Target) -> str:
        """Say also where there is no single boundary, or its feature space is too large."""
        if reason := super().unmet(target):
            return reason
        card = target.api.card
        if len(card.classes) != 2:
            return f"needs two classes, and the API answers {len(card.classes)}"
        if card.family == POLYNOMIAL:
            if "degree" not in card.architecture:
                return "needs the degree of the polynomial kernel, which is not published"
            size = Monomials(int(card.architecture["degree"])).size(card.space.d)
            if size > self.most:
                return f"needs at most {self.most} monomials, and the kernel has {size}"
        return ""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Search; a coroutine buys each batch, exactly up to the checkpoints on its way."""
        return _Session(target.api, target.pool, rng).run()


class _Session:
    """One run: what was bought, the open searches, and the best surrogate so far."""

    def __init__(self, api: PredictionAPI, pool: Array, rng: Generator) -> None:
        self.api, self.pool, self.rng = api, pool[rng.permutation(len(pool))], rng
        space = api.card.space  # the last step may lie below the upper bound
        self.low, self.high = space.answered(np.stack([space.low, space.high]))
        self.d, self.fine = space.d, space.steps == 0
        degree = api.card.architecture.get("degree", 1) if api.card.family == POLYNOMIAL else 1
        lift = Monomials(int(degree)) if degree > 1 else None
        self.learner = Learner(api.card.space, 2, "softmax", embedding=lift)
        self.size = self.learner.unknowns
        self.bought = Purchases(api.card)
        self.ends, self.sides = np.empty((0, self.d)), np.empty(0)  # where lines may begin
        self.brackets = Brackets(self.ends, self.ends, self.sides, api.card.space)
        self._due = list(api.checkpoints)

    def run(self) -> Working:
        """Search the witness's lines first, if the model is linear; then lines between inputs."""
        if self.learner.embedding is None:
            yield from self.scatter(1)
            yield from self.feature_lines()
        while self._due:
            yield from self.random_lines()
            yield from self.narrow()

    def ask(self, x: Array) -> Asking:
        """Buy answers, and return them as signs (n,); yield at each checkpoint on the way."""
        signs, done = np.zeros(len(x)), 0
        while self._due and done < len(x):
            if not self.room:
                yield self.surrogate()
                self._due.pop(0)
            if not self._due:
                break
            part = slice(done, done + self.room)
            answers = self.api.query(x[part])
            signs[done + answers.rows] = 2.0 * answers.labels - 1
            self.bought.add(answers)
            done = min(part.stop, len(x))
        return signs

    @property
    def room(self) -> int:
        """Queries left before the next checkpoint."""
        return self._due[0] - self.api.queries

    def scatter(self, wanted: int) -> Working:
        """Ask until so many answers, of both labels, are known: the pool's, uniform, corners.

        A linear score differs most between opposite corners; on them squares are all alike.
        """
        space, wanted = self.api.card.space, wanted + len(self.ends)
        while self._due and (len(self.ends) < wanted or self.one_sided):
            own, self.pool = self.pool[:1], self.pool[1:]
            x = np.vstack([own, space.sample_cube(1, self.rng)])
            if self.learner.embedding is None or self.one_sided:
                corner = np.where(self.rng.random(self.d) < 0.5, self.low, self.high)
                x = np.vstack([corner, self.low + self.high - corner, x])
            signs = yield from self.ask(x)
            # A low-dimensional cube has few corners, and lines that coincide tell nothing new.
            new = signs != 0
            new &= ~(x[:, None] == self.ends).all(axis=2).any(axis=1)
            self.ends = np.vstack([self.ends, x[new]])
            self.sides = np.append(self.sides, signs[new])

    @property
    def one_sided(self) -> bool:
        """Whether all ends bear one label."""
        return bool(abs(self.sides.sum()) == len(self.sides))

    def feature_lines(self) -> Working:
        """Open a search for each feature, as Lowd and Meek do, and halve them all in turn."""
        if not self._due:
            return
        base, witness = yield from self.witness()
        # A square for each other feature: at its base and at its far end, the witness low and high.
        centre = (self.low + self.high) / 2
        far = np.where(base < centre, self.high, self.low)
        others = np.setdiff1d(np.arange(self.d), [witness])
        moved = np.repeat(base[None], len(others), axis=0)
        moved[np.arange(len(others)), others] = far[others]
        edges = [np.array(base), np.array(base)]
        edges[0][witness], edges[1][witness] = self.low[witness], self.high[witness]
        low, high = moved.copy(), moved.copy()
        low[:, witness], high[:, witness] = self.low[witness], self.high[witness]
        near = yield from self.ask(np.vstack(edges))
        signs = yield from self.ask(np.vstack([low, high]))
        below, above = signs[: len(others)], signs[len(others) :]
        if not near.all() or near[0] == near[1]:
            return
        self.open(edges[0][None], edges[1][None], near[:1])
        crossed = below * above < 0
        self.open(low[crossed], high[crossed], below[crossed])
        # The weight is larger than the witness's: its own line crosses where the witness's cannot.
        for end, sign, corner in ((edges[0], near[0], below), (edges[1], near[1], above)):
            turned = ~crossed & (corner * sign < 0)
            stop = np.repeat(end[None], turned.sum(), axis=0)
            stop[np.arange(len(stop)), others[turned]] = far[others[turned]]
            self.open(np.repeat(end[None], len(stop), axis=0), stop, np.full(len(stop), sign))
        own = np.arange(crossed.sum() + 1, len(self.brackets))
        yield from self.narrow()
        if self.fine.any() and not self.fine.all():
            yield from self.between_steps(own)

    def between_steps(self, own: Rows) -> Working:
        """Search on, in the columns without steps, from where lines along others have ended."""
        own = own[self.brackets.widths[own] > COARSE]
        for _ in range(TRIES):
            far, side = self.brackets.beyond(own), self.brackets.side[own]
            x = self.corners(far)
            signs = yield from self.ask(np.vstack(x))
            back = np.stack(np.split(signs, 2)) == side
            first = back.any(axis=0)
            self.open(far[first], np.where(back[0][:, None], *x)[first], -side[first])
            own = own[~first]
            if not len(own):
                break
        yield from self.narrow()

    def corners(self, x: Array) -> tuple[Array, Array]:
        """Return opposite corners, each (n, d), that have the steps of x (n, d)."""
        one = np.where(self.rng.random(x.shape) < 0.5, self.low, self.high)
        pair = (np.where(self.fine, c, x) for c in (one, self.low + self.high - one))
        return next(pair), next(pair)

    def fine_ends(self) -> Coroutine[Surrogate, None, tuple[Array, Array]]:
        """Return a negative and a positive input that agree in the columns with steps, if found.

        The feature that turns the label then has none, and its line ends at a point, not between
        two steps. Opposite corners of the other columns are asked, beside known inputs.
        """
        pair = [self.ends[self.sides == side][-1] for side in (-1, 1)]
        for _ in range(TRIES if self.fine.any() and not self.fine.all() else 0):
            x = np.vstack(self.corners(self.ends[self.rng.integers(len(self.ends))][None]))
            signs = yield from self.ask(x)
            if signs[0] * signs[1] < 0:
                pair = list(x[np.argsort(signs)])
                break
        return pair[0], pair[1]

    def witness(self) -> Coroutine[Surrogate, None, tuple[Array, int]]:
        """Turn features of a negative input into a positive one's until the label turns."""
        start, end = yield from self.fine_ends()
        order, few, many = self.rng.permutation(self.d), 0, self.d
        while many - few > 1 and self._due:
            middle = (few + many) // 2
            mixed = start.copy()
            mixed[order[:middle]] = end[order[:middle]]
            (sign,) = yield from self.ask(mixed[None])
            few, many = (few, middle) if sign > 0 else (middle, many)
        mixed = start.copy()
        mixed[order[:few]] = end[order[:few]]
        return mixed, int(order[few])

    def random_lines(self) -> Working:
        """Open some more searches than there are unknowns, between ends of different labels."""
        yield from self.scatter(self.size)
        if self._due:
            minus, plus = (np.flatnonzero(self.sides == side) for side in (-1, 1))
            pairs = len(minus) * len(plus)
            chosen = self.rng.choice(pairs, min(pairs, ceil(SPARE * self.size)), replace=False)
            start, end = minus[chosen // len(plus)], plus[chosen % len(plus)]
            self.open(self.ends[start], self.ends[end], np.full(len(chosen), -1.0))

    def open(self, start: Array, end: Array, side: Array) -> None:
        """Add searches."""
        self.brackets = self.brackets + Brackets(start, end, side, self.api.card.space)

    def narrow(self) -> Working:
        """Halve the searches until all are closed or the budget is spent."""
        while self._due and len(rows := self.brackets.open):
            rows = rows[: self.room or None]  # so that a checkpoint's surrogate knows all answers
            signs = yield from self.ask(self.brackets.questions(rows))
            self.brackets.learn(rows, signs)

    def surrogate(self) -> Surrogate:
        """The plane through the crossings, or a fit to all answers where that explains more."""
        x, labels = self.bought.x, self.bought.labels
        if len(np.unique(labels)) < 2:
            return ignorant(self.api.card, labels)
        plane = self.plane()
        if plane is not None and np.mean(plane.predict(x).labels == labels) == 1:
            return plane
        fit = self.learner.fit(x, np.eye(2)[labels], self.rng).surrogate()
        fit = replace(fit, note="logistic regression on all answers")
        if plane is None:
            return fit
        return max((plane, fit), key=self._explained)

    def _explained(self, surrogate: Surrogate) -> tuple[float, float]:
        """Share of right labels among the ends, and among all answers.

        Most answers lie next to crossings: a plane through too few places gets those right too.
        """
        right = surrogate.predict(self.ends).labels == (self.sides > 0)
        every = surrogate.predict(self.bought.x).labels == self.bought.labels
        return float(right.mean()), float(every.mean())

    def plane(self) -> Surrogate | None:
        """The plane through the crossings; None while there are too few of them."""
        model, points, widths = self.learner.model, self.brackets.points, self.brackets.widths
        if len(points) < self.size - 1:
            return None
        weights = null_vector(model(points).a, widths)
        x, labels = self.bought.x, self.bought.labels
        right = np.mean((model(x).a @ weights > 0) == labels)
        weights = weights if right >= 0.5 else -weights

        def predict(x: Array) -> Reply:
            return Reply((model(x).a @ weights > 0).astype(np.int64))

        lift = self.learner.embedding is not None
        found = {} if lift else {"coef": weights[None, :-1], "intercept": weights[-1:]}
        known = in_units(found, self.api.card.space) if found else {}
        wide = np.sort(widths)[self.size - 2]
        note = f"{len(points)} boundary points, {self.size - 1} within {wide:.0e} of their lines"
        return Surrogate(predict, known, note=note)

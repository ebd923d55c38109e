"""GRAD^2: answers that send the gradient of whoever trains on them in a direction of one's choice.

Source: Mazeika et al. 2022, "How to Steer Your Adversary: Targeted and Efficient Model Stealing
Defenses with Gradient Redirection", arXiv:2206.14157, with the greedy solver of the authors' code.
Read: authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.moves import redirected_moves
from moatbench.inverses.origins import Origins
from moatbench.knobs import check_choice, check_flag, check_number, check_whole
from moatbench.models.linear import design
from moatbench.models.network import Network
from moatbench.models.perceptron import DIRECTIONS, Perceptron
from moatbench.numerics.minimise import descend
from moatbench.numerics.objectives import CrossEntropy
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Mask, Rows
from moatbench.victim import Victim

MOST_ROWS = 1_000  # of the training data
RIDGE, TOLERANCE = 1e-4, 1e-5  # of the surrogate's fit
LEAD = 1e-5  # of the top class over each other, under the guard


@dataclass
class GradientRedirection(Defense):
    """Maximise y'.c over y' within ||y' - y||_1 <= epsilon, with c = G z.

    Row k of G is the gradient of log p_k(x) of a trained surrogate by all its weights, and z is
    where the attacker's weights shall be sent: y'.c is how far a step of training on the answer
    y' moves along z. c is the derivative of log p at x along z, found for a whole batch at
    once without G.

    The linear program has an exact greedy solution: min(epsilon / 2, 1 - y_b) moves onto the class
    b of the largest c, from the smallest c upward. Of a certain answer half is left at epsilon 1,
    which few labels survive. The guard, which is ours, cuts a row's budget to the largest at which
    the top class still leads by 1e-5; the best answer that keeps the class may lie elsewhere.

    The paper's z is all ones. That is no direction at all for the last layer of any surrogate: it
    adds the same to every score, which softmax ignores (and a softmax regression has no other
    layer). Here z is a random sign for each weight, drawn at deployment and secret; `ones` is for
    comparison. The surrogate has one hidden layer of tanh units, and is trained on the victim's
    true answers to the defender's own training data (h_D of the paper), never on what an attacker
    asked.

    Verified: c against forward differentiation by torch; the answer against a general solver of
    linear programs and by hand; that z of ones does nothing to the last layer.

    Args:
        epsilon: L1 budget, from 0 to 2; 0 is no defense.
        guard: whether the top class stays. Without, as published, the label told is the new one.
        direction: z, `signs` or `ones`.
        hidden: units of the surrogate.
        steps: of its training at most (L-BFGS).
    """

    epsilon: float
    guard: bool
    direction: str
    hidden: int
    steps: int

    harmless: ClassVar[dict[str, Any]] = {"epsilon": 0.0}
    strengths: ClassVar[dict[str, Any]] = {
        "epsilon": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    }

    def __post_init__(self) -> None:
        check_number("grad2: epsilon", self.epsilon, 0, 2, hint="; 0 is no defense")
        check_flag("grad2: guard", self.guard)
        check_choice("grad2: direction", self.direction, DIRECTIONS)
        check_whole("grad2: hidden", self.hidden, 1)
        check_whole("grad2: steps", self.steps, 1)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Train the surrogate and draw the direction; need whole distributions, training rows."""
        victim.require_probabilities("grad2", full=True)
        victim.require_training_rows("grad2")
        known = victim.shares.x_train
        known = known[rng.permutation(len(known))[:MOST_ROWS]]
        targets = victim.predict(known).outputs
        assert targets is not None
        self._space = victim.space
        inputs = victim.space.encode(known)
        model = Network(design(inputs), len(victim.classes), self.hidden, "tanh")
        start, loss = model.begin(rng), CrossEntropy(targets)
        fit = descend(model, loss, start, iterations=self.steps, ridge=RIDGE, tolerance=TOLERANCE)
        self.surrogate = Perceptron.of(model, fit.theta)
        self.target = self.surrogate.toward(self.direction, rng)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer redirected outputs; a row without outputs stays as it is."""
        if self.epsilon == 0:
            return reply

        def redirect(rows: Rows, y: Array) -> Array:
            c = self.surrogate.slopes(self._space.encode(x[rows]), self.target)
            return redirected(y, c, self.epsilon, self.guard)

        return reply.perturbed(redirect, keep_labels=self.guard)

    @classmethod
    def published(cls) -> Mapping[str, Defense]:
        """Return it as it is looked for by whoever isn't told of it."""
        return {
            "grad2": cls(0.5, False, "signs", 32, 50),
            "guarded grad2": cls(0.5, True, "signs", 32, 50),
        }

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Undo the moves, for whatever class may have gained, and whichever lost in part."""
        return redirected_moves(told, self.epsilon, LEAD, self.guard)

    @property
    def traits(self) -> Traits:
        """The guard keeps the label."""
        return Traits({"perturbs" if self.guard else "relabels"}, keeps_labels=self.guard)


def redirected(y: Array, c: Array, epsilon: float, guard: bool) -> Array:
    """(n, k) the answers of largest y'.c within epsilon of the true ones, y (n, k)."""
    rows, best = np.arange(len(y)), c.argmax(axis=1)
    given, worth = y.copy(), c.copy()
    given[rows, best], worth[rows, best] = 0.0, np.inf
    order = np.argsort(worth, axis=1, kind="stable")  # who gives first
    given = np.take_along_axis(given, order, axis=1)
    before = np.cumsum(given, axis=1) - given
    move = np.minimum(epsilon / 2, 1 - y[rows, best])
    if guard:
        top = y.argmax(axis=1)
        most = _most(y[rows, top], y[rows, best], given, before, order == top[:, None])
        move = np.where(best == top, move, np.minimum(move, most))
    taken = np.clip(move[:, None] - before, 0, given)
    told = y.copy()
    np.put_along_axis(told, order, np.take_along_axis(y, order, axis=1) - taken, axis=1)
    told[rows, best] += move
    return normalised(told.clip(0))


def _most(top: Array, best: Array, given: Array, before: Array, place: Mask) -> Array:
    """(n,) the most that may move onto another class while the top one leads.

    Args:
        top: (n,) the answer of the top class.
        best: (n,) that of the class that gains.
        given: (n, k) what each class can give, who gives first standing first.
        before: (n, k) what has been given when its turn comes.
        place: (n, k) where the top class stands.
    """
    untouched, lead = before[place], top - best - LEAD
    # The lead shrinks by what `best` gains, later by what the top class gives as well
    first = np.where(lead <= untouched, lead, (lead + untouched) / 2)
    later = np.cumsum(place, axis=1) - place > 0  # these keep all that they have
    rival = np.where(later, given, 0).max(axis=1)
    most: Array = np.minimum(first, untouched + (top - rival - LEAD).clip(0)).clip(0)
    return most

"""MAD: answers that turn the gradient of whoever trains on them as far as the budget allows.

Source: Orekondy et al. 2020, "Prediction Poisoning: Towards Defenses Against DNN Model Stealing
Attacks", arXiv:1906.10908, with the two-step solver of the authors' code.
Read: authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import one_hot_step, set_step
from moatbench.knobs import check_flag, check_number
from moatbench.models.forward import affine, softmax
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Mask, Rows
from moatbench.victim import Victim

HIDDEN = 64  # units of the surrogate
LEAD = 1e-5  # of the top class at a vertex that keeps it
EXHAUSTIVE = 10  # classes up to which every set is tried
DIGITS = 12  # of a cosine: of two classes all vertices tie, and no rounding error may choose
BLOCK = 512  # rows at once, times 2^(k - 1) sets


@dataclass
class MAD(Defense):
    """Maximise || u(G'y') - u(G'y) ||^2 over y' within ||y' - y||_1 <= epsilon, u(v) = v / ||v||.

    G is the gradient of a surrogate's log-likelihoods with respect to its last weights: row k is
    (e_k - p) h', with p the surrogate's answer and h its last features. G'y is therefore
    (y - p) h', and h falls out: the objective is || u(p - y') - u(p - y) ||^2. As in the authors'
    code the surrogate is untrained: here one hidden layer, drawn at deployment.

    The solver picks the best vertex, and goes from y towards it as far as epsilon allows. The
    vertices are the k one-hots; with the guard, the uniform answers over the sets of classes that
    hold the top one, which leads by 1e-5 (up to ten classes all sets, beyond that a set that grows
    by the best class). The best answer within the budget may lie elsewhere: this is a heuristic.

    Verified: the closed form against gradients by torch; the vertex against all of them.

    Args:
        epsilon: L1 budget, from 0 to 2; 0 is no defense.
        guard: whether the top class stays (MAD-argmax). Without, the label told is the new one.
    """

    epsilon: float
    guard: bool

    harmless: ClassVar[dict[str, Any]] = {"epsilon": 0.0}
    strengths: ClassVar[dict[str, Any]] = {"epsilon": (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)}

    def __post_init__(self) -> None:
        check_number("mad: epsilon", self.epsilon, 0, 2, hint="; 0 is no defense")
        check_flag("mad: guard", self.guard)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Draw the surrogate; need whole distributions."""
        victim.require_probabilities("mad", full=True)
        self._space, k = victim.space, len(victim.classes)
        d = victim.space.encode(np.zeros((1, victim.space.d))).shape[1]
        self._first = rng.normal(size=(d, HIDDEN)) * sqrt(2 / d)
        self._last = rng.uniform(-1, 1, (HIDDEN, k)) / sqrt(HIDDEN)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer poisoned outputs; a row without outputs stays as it is."""
        if self.epsilon == 0:
            return reply

        def poison(rows: Rows, y: Array) -> Array:
            return poisoned(y, self.surrogate(x[rows]), self.epsilon, self.guard)

        return reply.perturbed(poison, keep_labels=self.guard)

    @property
    def traits(self) -> Traits:
        """The guard keeps the label."""
        return Traits({"perturbs" if self.guard else "relabels"}, keeps_labels=self.guard)

    @classmethod
    def published(cls) -> Mapping[str, Defense]:
        """Return it as it is looked for by whoever isn't told of it."""
        return {"mad": cls(1.0, False), "mad_argmax": cls(1.0, True)}

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Undo the step, for each vertex that it may have gone to."""
        if self.guard:
            return set_step(told, self.epsilon, LEAD, guess)
        return one_hot_step(told, self.epsilon)

    def surrogate(self, x: Array) -> Array:
        """(n, k) what the untrained surrogate answers."""
        hidden = np.maximum(affine(self._space.encode(x), self._first, np.zeros(HIDDEN)), 0)
        return softmax(affine(hidden, self._last, np.zeros(self._last.shape[1])))


def poisoned(y: Array, p: Array, epsilon: float, guard: bool) -> Array:
    """(n, k) answers within epsilon of the true ones, y, before a surrogate that answers p."""
    y, p = np.ascontiguousarray(y), np.ascontiguousarray(p)
    parts = [slice(start, start + BLOCK) for start in range(0, len(y), BLOCK)]
    best = _set if guard else _one_hot
    vertex = np.concatenate([np.zeros((0, y.shape[1])), *(best(y[i], p[i]) for i in parts)])
    away = np.abs(vertex - y).sum(axis=1, keepdims=True)
    share = np.minimum(1.0, epsilon / np.maximum(away, np.finfo(np.float64).tiny))
    moved = normalised((1 - share) * y + share * vertex)
    if guard:  # a lead may drown in rounding errors
        lost = moved.argmax(axis=1) != y.argmax(axis=1)
        moved[lost] = y[lost]
    return moved


def objective(y: Array, p: Array, told: Array) -> Array:
    """(n,) how far, from 0 to 4, the answer `told` turns the gradient; y and p as above."""
    gaps = _unit(p - told) - _unit(p - y)
    return np.asarray((gaps**2).sum(axis=1))


def _unit(v: Array) -> Array:
    length = np.sqrt((v**2).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(v, length, out=np.zeros_like(v), where=length > 0))


def _one_hot(y: Array, p: Array) -> Array:
    """(n, k) the best one-hot answer."""
    gap = p - y
    cosine = _cosine((p * gap).sum(axis=1), gap, (p * p).sum(axis=1), p, 1.0)
    best: Array = np.eye(y.shape[1])[cosine.argmin(axis=1)]
    return best


def _set(y: Array, p: Array) -> Array:
    """(n, k) the best uniform answer over a set with the top class, which leads a little."""
    top, k = y.argmax(axis=1), y.shape[1]
    members = (_any_set if k <= EXHAUSTIVE else _grown_set)(y, p, top)
    vertex = members / members.sum(axis=1, keepdims=True)
    vertex[np.arange(len(y)), top] += LEAD
    return np.asarray(vertex / (1 + LEAD))


def _any_set(y: Array, p: Array, top: Rows) -> Mask:
    """(n, k) members of the best of all sets."""
    n, k = y.shape
    gap, rows = p - y, np.arange(n)
    others = np.argsort(np.arange(k) == top[:, None], axis=1, kind="stable")[:, :-1]
    chosen = (np.arange(2 ** (k - 1))[:, None] >> np.arange(k - 1)) & 1 == 1
    cosine = _set_cosine(
        gap, p, top, _sums(gap, top, others), _sums(p, top, others), 1 + chosen.sum(axis=1)
    )
    members = np.zeros((n, k), dtype=bool)
    members[rows, top] = True
    members[rows[:, None], others] = chosen[cosine.argmin(axis=1)]
    return members


def _sums(w: Array, top: Rows, others: Rows) -> Array:
    """(n, 2^(k - 1)) the sum of w over each set; bit j of its number is class others[:, j]."""
    rows = np.arange(len(w))
    sums = np.empty((len(w), 2 ** others.shape[1]))
    sums[:, 0] = w[rows, top]
    for j in range(others.shape[1]):
        sums[:, 2**j : 2 ** (j + 1)] = sums[:, : 2**j] + w[rows, others[:, j], None]
    return sums


def _grown_set(y: Array, p: Array, top: Rows) -> Mask:
    """(n, k) members of the best set met while the best class is added each time."""
    n, k = y.shape
    gap, rows = p - y, np.arange(n)
    members, best = np.zeros((n, k), dtype=bool), np.zeros((n, k), dtype=bool)
    members[rows, top] = best[rows, top] = True
    sum_gap, sum_p = gap[rows, top, None], p[rows, top, None]
    least = _set_cosine(gap, p, top, sum_gap, sum_p, np.ones(1))[:, 0]
    for size in range(2, k + 1):
        cosine = _set_cosine(gap, p, top, sum_gap + gap, sum_p + p, np.array([float(size)]))
        cosine[members] = np.inf
        added = cosine.argmin(axis=1)
        members[rows, added] = True
        sum_gap = sum_gap + gap[rows, added, None]
        sum_p = sum_p + p[rows, added, None]
        better = cosine[rows, added] < least
        least[better], best[better] = cosine[rows, added][better], members[better]
    return best


def _set_cosine(
    gap: Array, p: Array, top: Rows, sum_gap: Array, sum_p: Array, size: Array
) -> Array:
    """(n, m) cosines of m sets a row, from the sums of gap and p over each."""
    rows, total = np.arange(len(p)), 1 + LEAD
    along = (sum_gap / size + LEAD * gap[rows, top, None]) / total
    across = (sum_p / size + LEAD * p[rows, top, None]) / total
    square = ((1 + 2 * LEAD) / size + LEAD**2) / total**2
    return _cosine((p * gap).sum(axis=1), along, (p * p).sum(axis=1), across, square)


def _cosine(p_gap: Array, v_gap: Array, p_p: Array, v_p: Array, v_v: Array | float) -> Array:
    """(n, m) the cosine of p - v and gap, times the length of gap; the less, the better.

    From the dot products of p (n,) and of m vertices v (n, m) with gap and with p; v_v is v.v.
    """
    length = np.sqrt(np.maximum(p_p[:, None] - 2 * v_p + v_v, 0))
    along = p_gap[:, None] - v_gap
    cosine = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
    return np.asarray(cosine.round(DIGITS))

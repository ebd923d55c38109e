"""A bump on every confidence, f(y) = y - h (sigmoid(gamma logit(y)) - 1/2), as a function.

Confidences are in log-odds here, z, where f is smooth next to 0 and 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from moatbench.types import Array, Mask

EDGE = 1e-9  # confidences are kept this far from 0 and 1
BOTTOM = float(logit(EDGE))
POINTS, STEPS = 1025, 160  # of a table of f, and of the grid of the largest confidence
CLOSER: Array = 0.3 * 0.5 ** np.arange(16.0)  # to a turn, where more points are
GATE = 40.0  # log-odds of a gate beyond which it is open or shut
ROUNDS, TURNS = 6, 4  # of Newton's steps: those that have arrived rest after each round
STRIDE, ARRIVED = 1.0, 1e-12  # longest step, and shortest, in log-odds


@dataclass(frozen=True)
class Bump:
    """What is subtracted from confidences.

    Args:
        gamma: steepness, above 0.
        height: h where the largest confidence is m (n,).
        slope: dh / dm.
        clamp: whether confidences above 1/2 stay as they are, but for the scale.
        gate: the m about which the height changes fast, and how fast; None where it does not.
    """

    gamma: float
    height: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    clamp: bool = False
    gate: tuple[float, float] | None = None

    @staticmethod
    def of_height(height: float, gamma: float) -> "Bump":
        """Return one whose height is the same for all answers."""
        return Bump(gamma, lambda m: np.full(m.shape, height), np.zeros_like)

    def share(self, z: Array) -> Array:
        """sigmoid(gamma z) - 1/2."""
        return np.asarray(expit(self.gamma * (np.minimum(z, 0) if self.clamp else z)) - 0.5)

    def weight(self, z: Array, h: Array) -> Array:
        """F at heights h."""
        return np.asarray(expit(z) - h * self.share(z))

    def rise(self, z: Array, h: Array) -> Array:
        """Df / dz."""
        bent = self.gamma * expit(self.gamma * z) * expit(-self.gamma * z)
        if self.clamp:
            bent = np.where(z > 0, 0.0, bent)
        return np.asarray(expit(z) * expit(-z) - h * bent)

    def at(self, z: Array, h: Array) -> "At":
        """Return all that Newton's method asks of z at heights h."""
        bent = expit(self.gamma * (np.minimum(z, 0) if self.clamp else z))
        slope = self.gamma * bent * (1 - bent)
        if self.clamp:
            slope = np.where(z > 0, 0.0, slope)
        y = expit(z)
        grows = y * (1 - y)
        share = bent - 0.5
        return At(y, grows, y - h * share, grows - h * slope, share)

    def grid(self, k: int) -> Array:
        """(g,) log-odds of the largest of k confidences, close where f turns or a gate is."""
        least, most = float(logit(1 / k)), -BOTTOM
        # Above 1 f falls about 1/2, where the largest often is
        found: list[Array] = [np.linspace(least, most, STEPS if self.gamma <= 1 else 4 * STEPS)]
        for h in np.unique(self.height(np.array([1 / k, 0.5, 1 - EDGE]))):
            turn = -Table.of(self, float(h)).at_turn
            found += [turn + CLOSER, turn - CLOSER, np.array([turn, -turn])]
        if self.gate is not None:
            at = self.gate[0] + np.linspace(-GATE, GATE, STEPS) / self.gate[1]
            found.append(logit(at[(at > EDGE) & (at < 1 - EDGE)]))
        every = np.unique(np.concatenate(found))
        return every[(every >= least) & (every <= most)]


class At(NamedTuple):
    """Of confidences: y, dy / dz, f, df / dz, and sigmoid(gamma z) - 1/2."""

    y: Array
    grows: Array
    weight: Array
    rise: Array
    share: Array


class Table(NamedTuple):
    """f below 1/2, where it turns once at most: (j,) z and f, and the place of the turn."""

    z: Array
    f: Array
    turn: int

    @staticmethod
    @lru_cache(1024)  # each class may be the largest, and all ask for the same
    def of(bump: Bump, h: float) -> "Table":
        """Tabulate f at a height."""
        z, height = np.linspace(BOTTOM, 0, POINTS), np.array(h)
        rising = bump.rise(z, height) > 0
        turns = np.flatnonzero(rising != rising[0])
        if not len(turns):
            return Table(z, bump.weight(z, height), len(z) - 1)
        between = z[turns[0] - 1], z[turns[0]]
        turn = float(brentq(lambda at: float(bump.rise(np.array(at), height)), *between))
        z = np.unique(np.concatenate([z, turn + CLOSER, turn - CLOSER, [turn]]))
        z = z[(z >= BOTTOM) & (z <= 0)]
        return Table(z, bump.weight(z, height), int(np.searchsorted(z, turn)))

    @property
    def at_turn(self) -> float:
        """Z where f turns; 0 where it does not."""
        return float(self.z[self.turn])

    @property
    def ends(self) -> tuple[tuple[float, float], ...]:
        """The least and the most of f on each branch; of an empty one, none."""
        if self.turn == len(self.z) - 1:
            return (self.f.min(), self.f.max()), (np.inf, -np.inf)
        return tuple((f[0], f[-1]) for f, _ in self.branches())

    def branches(self) -> tuple[tuple[Array, Array], ...]:
        """F in rising order, and z, of the branches below and above the turn."""
        parts = (slice(0, self.turn + 1), slice(self.turn, None))
        found = [(self.f[part], self.z[part]) for part in parts]
        return tuple((f[::-1], z[::-1]) if f[0] > f[-1] else (f, z) for f, z in found)


def solved(
    bump: Bump, ratio: Array, top: Array, others: Array, pinned: Mask
) -> tuple[Array, Array, Mask]:
    """Solve for z of the largest confidence (m,), and of the others (m, j), from a start.

    The equations are f(y_i) = ratio_i f(y_top), and that all add up to 1. Of a row with pinned
    ones (m, j), which are at the edge or below, the sum says nothing; their equations do.

    Returns:
        Both, and (m,) whether the search has arrived.
    """
    top, others, left = top.copy(), np.where(pinned, BOTTOM, others), np.arange(len(top))
    for _ in range(ROUNDS):
        at, rest = top[left], others[left]
        for _ in range(TURNS):
            to, these = _stepped(bump, ratio[left], at, rest, pinned[left])
            moved = np.maximum(np.abs(to - at), np.abs(these - rest).max(axis=1))
            at, rest = to, these
        top[left], others[left] = at, rest
        left = left[moved > ARRIVED]
        if not len(left):
            break
    arrived = np.ones(len(top), bool)
    arrived[left] = False
    return top, others, arrived


def slope(bump: Bump, ratio: Array, top: Array, others: Array) -> Array:
    """(m,) how fast the sum of all rises with z of the largest, the others on f's curve."""
    m = expit(top)
    h, dh = bump.height(m), bump.slope(m) * m * (1 - m)
    largest, rest = bump.at(top, h), bump.at(others, h[:, None])
    along = -rest.share * dh[:, None] - ratio * (largest.rise - largest.share * dh)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(largest.grows - (rest.grows * along / rest.rise).sum(axis=1))


def _stepped(
    bump: Bump, ratio: Array, top: Array, others: Array, pinned: Mask
) -> tuple[Array, Array]:
    """Newton's step; only the largest confidence is in all equations, so no system is solved."""
    m = expit(top)
    h, dh = bump.height(m), bump.slope(m) * m * (1 - m)
    largest, rest = bump.at(top, h), bump.at(others, h[:, None])
    gap = rest.weight - ratio * largest.weight[:, None]
    of_top = largest.rise - largest.share * dh
    along = -rest.share * dh[:, None] - ratio * of_top[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        held = pinned | ((others <= BOTTOM) & (gap / rest.rise > 0))
        inverse = np.where(held, 0.0, 1 / rest.rise)
        grows = rest.grows * inverse
        step = (1 - m - rest.y.sum(axis=1) + (grows * gap).sum(axis=1)) / (
            largest.grows - (grows * along).sum(axis=1)
        )
        some = pinned.any(axis=1)
        first = np.arange(len(top)), pinned.argmax(axis=1)
        step[some] = (-gap[first] / along[first])[some]
        step = step.clip(-STRIDE, STRIDE)
        step[np.isnan(step)] = 0
        moves = (-(gap + along * step[:, None]) * inverse).clip(-STRIDE, STRIDE)
        moves[np.isnan(moves)] = 0
    return (top + step).clip(BOTTOM, -BOTTOM), (others + moves).clip(BOTTOM, 0)

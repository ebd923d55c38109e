"""Which sets of classes an answer may have been moved towards."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from moatbench.types import Array, Mask, Rows

LARGE = 20  # classes of large confidence that are left out, at most, of sets to start from
STARTS, ROUNDS = 4, 4  # sets to start from, and how often the doubtful classes are looked for
DOUBTFUL = 10  # classes that are sorted in and out in all ways
WEIGHED, KEPT = 128, 32  # sets of a round that are weighed in full, and those that are returned
IGNORANT = 1.2  # times its share, up to which an ignorant model gives a class more than it has
SPREAD, TAIL = 0.5, 3.0  # of the logs of a guess, and how slowly its likelihood falls
SMALL = 1e-3  # of that share: a class that is less is not the odder as no member
FLOOR, ROUNDING = 1e-12, 1e-13  # of confidences


@lru_cache
def all_sets(k: int, top: int) -> Mask:
    """(2^(k - 1), k) all sets of k classes that hold class `top`, by their members."""
    sets = (np.arange(2**k)[:, None] >> np.arange(k)) & 1 == 1
    return np.asarray(sets[sets[:, top]])


def likely_sets(told: Array, top: int, epsilon: float, lead: float, guess: Array | None) -> Mask:
    """(j, k) the likeliest sets with class `top` that a greedy search may have ended with.

    Such a set holds the classes whose true confidence is less than what an ignorant model gives
    them. All members were raised by as much, so that what was told of the least ones piles up just
    above the raise; and the raise follows from the set. A set is the likelier, the better the logs
    of the confidences that it leads to agree with a guess (k,) of them, and the farther these are
    from a pile at some level, which a set that is wrong about the raise leaves.

    Args:
        told: (k,) an answer.
        top: its top class.
        epsilon: L1 length of the step.
        lead: of the top class at its end.
        guess: (k,) of the true answer.
    """
    step = _Step(told, top, epsilon, lead, guess)
    found, weights = step.likely(step.blocks())
    every, likely = [found], [weights]
    starts = STARTS if guess is not None else 1  # without one, the likeliest set is seldom right
    for start in found[np.argsort(-weights)[:starts]]:
        best = -np.inf
        for _ in range(ROUNDS):
            sets, weights = step.likely(step.resorted(start))
            every.append(sets)
            likely.append(weights)
            if weights.max(initial=-np.inf) <= best + FLOOR:
                break
            best, start = weights.max(), sets[weights.argmax()]
    sets, order = np.concatenate(every), np.argsort(-np.concatenate(likely), kind="stable")
    return np.asarray(sets[_first_once(sets, order)])


def _first_once(sets: Mask, order: Rows) -> list[int]:
    """Return the first rows in an order that are unlike all before, as many as are kept."""
    once: dict[bytes, int] = {}
    for place in order.tolist():
        once.setdefault(sets[place].tobytes(), place)
        if len(once) == KEPT:
            break
    return list(once.values())


@dataclass(frozen=True)
class _Step:
    """What was told of one answer; the arguments are those of `likely_sets`."""

    told: Array
    top: int
    epsilon: float
    lead: float
    guess: Array | None

    def blocks(self) -> Mask:
        """Sets of classes that are told one after another in size."""
        k = len(self.told)
        order = np.argsort(-self.told, kind="stable")
        others = order[order != self.top]
        first, last = np.triu_indices(k)
        first, last = first[first <= LARGE], last[first <= LARGE]
        sets = np.zeros((len(first), k), bool)
        places = np.arange(k - 1)
        sets[:, others] = (places >= first[:, None]) & (places < last[:, None])
        sets[:, self.top] = True
        return sets

    def likely(self, sets: Mask) -> tuple[Mask, Array]:
        """Return those of the sets that can be, and (j,) the logs of their likelihoods."""
        told, top = self.told, self.top
        at, at_top = self._vertex(sets.sum(axis=1))
        length = np.where(sets, np.abs(told - at[:, None]), told).sum(axis=1)
        length += np.abs(told[top] - at_top) - np.abs(told[top] - at)
        raised, shrunk = self._moved(at, length)
        y = (told - raised[:, None] * sets) / shrunk[:, None]
        y[:, top] -= (at_top / at - 1) * raised / shrunk
        can = (y >= -ROUNDING / shrunk[:, None]).all(axis=1)
        can &= y[:, top] >= y.max(axis=1, initial=0.0) - ROUNDING
        sets, y, raised = sets[can], y[can], raised[can]
        weights = self._log_density(y) - self._oddity(y, sets) * (told >= raised[:, None])
        weights[:, top] = 0
        return sets, weights.sum(axis=1)

    def resorted(self, start: Mask) -> Mask:
        """Sort classes in and out, given how much a set raised its members; doubtful ones both."""
        told, top = self.told, self.top
        at, at_top = self._vertex(start.sum()[None])
        length = np.where(start, np.abs(told - at), told).sum() - np.abs(told[top] - at)
        raised, shrunk = self._moved(at, length + np.abs(told[top] - at_top))
        able = told >= raised - ROUNDING
        inside, outside = (told - raised) / shrunk, told / shrunk
        gain = self._log_density(inside) - self._oddity(inside, True)
        gain -= self._log_density(outside) - self._oddity(outside, False)
        gain[top] = np.inf
        free = np.argsort(np.where(able, np.abs(gain), np.inf), kind="stable")[:DOUBTFUL]
        free = free[able[free] & (free != top)]
        base = able & (gain > 0)
        flips = _all_flips(len(free))
        sets = np.tile(base, (len(flips), 1))
        sets[:, free] ^= flips
        gap = self._slack(base, free, sets[:, free])
        cost = np.where(gap >= 0, flips @ np.abs(gain[free]), np.inf)
        gap = np.where(gap >= 0, gap, np.inf)
        best = np.concatenate([np.argsort(v, kind="stable")[:WEIGHED] for v in (gap, cost)])
        best = np.unique(best)
        return np.asarray(sets[best[np.isfinite(gap[best])]])

    def _slack(self, base: Mask, free: Rows, chosen: Mask) -> Array:
        """(j,) how far the least member is above the raise, with `chosen` (j, f) of the free."""
        told, top = self.told, self.top
        fixed = base.copy()
        fixed[free] = False
        inside, outside = told[fixed], told[~base].sum() - told[free][~base[free]].sum()
        extra = chosen.sum(axis=1)
        at, at_top = self._vertex(len(inside) + np.arange(len(free) + 1))
        of_fixed = np.abs(inside - at[:, None]).sum(axis=1)
        of_fixed += np.abs(told[top] - at_top) - np.abs(told[top] - at)
        of_free = np.where(chosen, np.abs(told[free] - at[extra][:, None]), told[free])
        raised, _ = self._moved(at[extra], of_fixed[extra] + outside + of_free.sum(axis=1))
        least = np.where(chosen, told[free], np.inf).min(axis=1, initial=inside.min())
        return np.asarray(least - raised + ROUNDING)

    def _vertex(self, sizes: Rows) -> tuple[Array, Array]:
        """(j,) what sets of some sizes give to a member, and to the top one."""
        scale = 1 / (1 + self.lead)
        return scale / sizes, scale * (1 / sizes + self.lead)

    def _moved(self, at: Array, length: Array) -> tuple[Array, Array]:
        """(j,) by how much members were raised, and by what all shrank."""
        away = self.epsilon + length
        return self.epsilon / away * at, length / away

    def _log_density(self, y: Array) -> Array:
        """(..., k) log-densities of confidences: any order of size, or near that of the guess."""
        logs = np.log(np.maximum(y, FLOOR))
        if self.guess is None:
            return np.asarray(-logs)
        far = (logs - np.log(np.maximum(self.guess, FLOOR))) / SPREAD
        return np.asarray(-logs - TAIL * np.log1p(far**2 / TAIL))

    def _oddity(self, y: Array, member: Mask | bool) -> Array:
        """(..., k) how little like a member, or like another class, a confidence is."""
        share = np.maximum(y * len(self.told) / IGNORANT, SMALL)
        return np.asarray(np.log1p(np.where(member, share, 1 / share) ** 2))


@lru_cache
def _all_flips(n: int) -> Mask:
    """(2^n, n) all ways to choose among some classes."""
    return np.asarray((np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1)

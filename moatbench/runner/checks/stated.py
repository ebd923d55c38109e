"""The accuracy that an owner states of a model, against the one that is measured here."""

from math import sqrt

from moatbench.record.flag import INVALID, NOTE, UNLIKE, Flag
from moatbench.victim import Victim

STATED = "accuracy_stated"  # a fact of a victim whose owner says how good it is
SURE = 2.576  # standard errors: chance leaves one run in a hundred outside
ROUNDED = 0.005  # an accuracy is stated in whole per cent


def unlike_stated(victim: Victim, right: float, way: str) -> list[Flag]:
    """Say that a model is not as good as its owner states, beyond what a sample may err.

    One that is worse is not asked as it was trained, or on other data: nothing that is measured on
    it holds for the model that is meant. One that is better may have learnt the test rows by heart.

    Args:
        victim: the model, with its facts.
        right: share of the test rows that it labels rightly.
        way: what to do about a worse one.
    """
    stated = victim.shares.provenance.get(STATED)
    if stated is None:
        return []
    n = len(victim.shares.y_test)
    low, high = sampled(right, n)
    if low - ROUNDED <= stated <= high + ROUNDED:
        return []
    text = (
        f"the victim is right on {100 * right:.1f} % of {n} test rows ({100 * low:.1f} to "
        f"{100 * high:.1f} % with what a sample may err), and its owner states {100 * stated:.1f} %"
    )
    if stated > high:
        return [Flag(INVALID, f"{text}; {way}", UNLIKE)]
    return [Flag(NOTE, f"{text}; was it trained on these rows?", UNLIKE)]


def sampled(share: float, n: int) -> tuple[float, float]:
    """Return the least and the greatest share that a sample of n may stand for.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    square = SURE**2 / n
    middle = (share + square / 2) / (1 + square)
    reach = SURE / (1 + square) * sqrt(share * (1 - share) / n + square / (4 * n))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)

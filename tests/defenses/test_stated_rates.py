"""Every monitor that states a rate of false alarms keeps it among customers that it never met."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from shop import by_hand, softmax_of

from moatbench.defenses.monitors.dadd import DADD
from moatbench.defenses.monitors.extraction_warning import ExtractionWarning
from moatbench.defenses.monitors.hoda import HODA
from moatbench.defenses.monitors.margin_counter import MarginCounter
from moatbench.defenses.monitors.seat import SEAT
from moatbench.defenses.monitors.several_accounts import SeveralAccounts
from moatbench.defenses.monitors.vardetect import VarDetect
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration
from moatbench.types import Array, Generator
from moatbench.victim import Victim

RATE, ACCOUNTS = 0.05, 199
WORLDS, CUSTOMERS, QUERIES = 3, 60, 80  # a world: a model, its data, and customers of its own
CALIBRATED = Calibration(RATE, QUERIES, ACCOUNTS)
MONITORS: dict[str, Callable[[], Monitor]] = {
    "extraction_warning": lambda: ExtractionWarning("both", 16, 50, 0.5, CALIBRATED),
    "label_margin": lambda: MarginCounter("label", 0.05, 0.0, 20, CALIBRATED),
    "seat": lambda: SEAT(3, 1, 500, "calibrated", CALIBRATED),
    "vardetect": lambda: VarDetect("published", ["noise"], 3, 30, 5, CALIBRATED),
    "vardetect_ratio": lambda: VarDetect("ratio", ["shuffled", "uniform"], 3, 30, 10, CALIBRATED),
    "hoda": lambda: HODA(8, 20, "even", "once", 40, CALIBRATED),
    "linked_accounts": lambda: SeveralAccounts("links", 0.8, 3, 4, 10, 0.5, CALIBRATED),
    "joined_accounts": lambda: SeveralAccounts("boxes", 0.8, 3, 4, 10, 0.5, CALIBRATED),
    "dadd": lambda: DADD(16, True, CALIBRATED),
}


def honest(rng: Generator, centres: Array, n: int) -> Array:
    """(n, d) rows about centres, some of them far off: tails are what monitors trip over."""
    spread = 0.15 * rng.standard_t(4, size=(n, centres.shape[1]))
    return np.asarray(np.clip(centres[rng.integers(len(centres), size=n)] + spread, -1, 1))


def world(seed: int) -> tuple[Victim, Generator, Array]:
    """Return a victim of data of its own, and what draws customers like those."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(6, 8)) * 0.4
    predict = softmax_of(rng.normal(size=(8, 3)) * 4, np.zeros(3))
    x = honest(rng, centres, 1600)
    return by_hand(predict, x, (1500, 1550), family="softmax"), rng, centres


COSTLY = ("linked_accounts", "extraction_warning")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in COSTLY else n for n in MONITORS]
)
def test_customers_of_the_future_are_alarmed_as_rarely_as_stated(name: str) -> None:
    """Within three deviations: the customers' and that of a threshold of so many accounts."""
    alarmed = 0
    for seed in range(WORLDS):
        victim, rng, centres = world(seed)
        monitor = MONITORS[name]()
        monitor.deploy(victim, np.random.default_rng(seed))
        for customer in range(CUSTOMERS):
            x = honest(rng, centres, QUERIES)
            labels = victim.predict(x).labels
            alarmed += bool(monitor.observe(x, labels, f"customer-{customer}").any())
    variance = RATE * (1 - RATE) * (1 / (WORLDS * CUSTOMERS) + 1 / (WORLDS * ACCOUNTS))
    assert alarmed / (WORLDS * CUSTOMERS) <= RATE + 3 * sqrt(variance)

"""What the meter costs: a million queries through the API beside the same rows asked directly.

Run: python benchmarks/metering.py [--quick]. One thread; the ways are timed in turn, round after
round, so that a busy machine slows all of them alike. The bar: at most 20 % more than the model.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from quick import QUICK
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment, MeteredAPI
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax

# a million queries in all
BATCH, BATCHES, ROUNDS = (1_000, 10, 2) if QUICK else (1_000, 100, 10)


def main() -> None:
    """Print a table: the median of the rounds, and each as a multiple of asking the victim."""
    victim = softmax(bundled("digits"), stream(0, "victim"))
    shares = victim.shares
    model = LogisticRegression(max_iter=5000).fit(shares.x_train, shares.y_train)
    x = victim.space.sample(BATCH, np.random.default_rng(0))
    api = MeteredAPI(
        Deployment(victim, Defense(), stream(0, "defense")), [BATCH * BATCHES * (ROUNDS + 1)]
    )
    ways: dict[str, Callable[[], object]] = {
        "victim.predict": lambda: victim.predict(x),
        "scikit-learn's predict_proba": lambda: model.predict_proba(x),
        "PredictionAPI.query": lambda: api.query(x),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, ask in ways.items():
            start = time.perf_counter()
            for _ in range(BATCHES):
                ask()
            seconds[name].append(time.perf_counter() - start)
    direct = np.array(seconds["victim.predict"][1:])  # the first round warms up
    print("| softmax on Digits, batches of 1,000 | s a million | ratio |\n|---|---|---|")
    for name, times in seconds.items():
        ratio = statistics.median(np.array(times[1:]) / direct)
        million = statistics.median(times[1:]) * 1e6 / (BATCH * BATCHES)
        print(f"| {name} | {million:.3f} | {ratio:.2f} |")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

"""Labels of uniform queries alone: our learner beside a plain thief on the same purchases.

Run: python benchmarks/labels_only.py [--quick]. One thread, about five minutes; prints a table of
fidelities, means of three seeds. The thief is what a stranger would write: the victim's own
architecture, inputs scaled to [0, 1], 2,000 steps of Adam at 0.01 in batches of 64, no penalty.
Cells are fidelity on test data / on uniform inputs.
"""

from collections.abc import Iterator

import numpy as np
import torch
from configs import composed
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment
from moatbench.compose.build import instantiate
from moatbench.defense import Defense
from moatbench.learners.published import PUBLISHED, smooth_learner
from moatbench.randomness import stream
from moatbench.types import Array, Labels
from moatbench.victim import Victim

VICTIMS = (
    ("digits", "softmax"),
    ("digits", "mlp"),
    ("five_class", "softmax"),
    ("wine", "softmax"),
    ("breast_cancer", "logistic"),
)
BUDGETS = (100, 300, 1000)
SEEDS = (0, 1, 2)
STEPS, RATE, BATCH = 2000, 1e-2, 64


def main() -> None:
    """Print a row as soon as it is measured; a budget whose answers are all alike has none."""
    victims, seeds = (VICTIMS[3:4], SEEDS[:1]) if QUICK else (VICTIMS, SEEDS)
    print("| victim | queries | for labels | origin in the middle | Adam |\n|---|---:|---|---|---|")
    for data, family in victims:
        runs = [run for seed in seeds for run in measured(data, family, seed)]
        for budget in BUDGETS:
            cells = [cell for n, cell in runs if n == budget]
            if cells:
                means = np.mean(cells, axis=0)
                told = " | ".join(f"{test:.3f} / {uniform:.3f}" for test, uniform in means)
                print(f"| {family} {data} | {budget:,} | {told} |", flush=True)


def measured(data: str, family: str, seed: int) -> Iterator[tuple[int, Array]]:
    """Yield budgets and (3, 2) fidelities: of each learner, on test data and uniform inputs."""
    cfg = composed(f"data={data}", f"victim={family}")
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    rng, space = np.random.default_rng([7, seed]), victim.space
    card = Deployment(victim, Defense(), rng).card(0.0)
    x = space.sample_cube(BUDGETS[-1], rng)
    labels = victim.predict(x).labels
    judged = (victim.shares.x_test, space.sample_cube(3000, rng))
    true = [victim.predict(rows).labels for rows in judged]
    learner = smooth_learner(PUBLISHED, card)
    for n in BUDGETS:
        if len(np.unique(labels[:n])) < 2:
            continue
        hard = np.eye(len(card.classes))[labels[:n]]
        fits = [
            one.fit(x[:n], hard, np.random.default_rng(seed)).labels
            for one in (learner.for_labels(), learner)
        ]
        units = learner.hidden if learner.family == "mlp" else 0
        thief = adam((space.encode(x[:n]) + 1) / 2, labels[:n], len(card.classes), units, seed)
        answers = [[fit(rows) for rows in judged] for fit in fits]
        answers.append([thief((space.encode(rows) + 1) / 2) for rows in judged])
        yield (
            n,
            np.array(
                [[np.mean(a == t) for a, t in zip(both, true, strict=True)] for both in answers]
            ),
        )


class Thief:
    """A network that tells labels."""

    def __init__(self, net: torch.nn.Module) -> None:
        self._net = net

    def __call__(self, x: Array) -> Labels:
        """(n,) labels of rows in [0, 1]."""
        with torch.no_grad():
            scores = self._net(torch.tensor(x, dtype=torch.float32))
        return np.asarray(scores.argmax(dim=1).numpy(), np.int64)


def adam(x: Array, labels: Labels, k: int, hidden: int, seed: int) -> Thief:
    """Train softmax regression, or a tanh network where there are hidden units."""
    torch.manual_seed(seed)
    d = x.shape[1]
    net: torch.nn.Module = torch.nn.Linear(d, k)
    if hidden:
        last = torch.nn.Linear(hidden, k)
        net = torch.nn.Sequential(torch.nn.Linear(d, hidden), torch.nn.Tanh(), last)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    rows, classes = torch.tensor(x, dtype=torch.float32), torch.tensor(labels)
    order, at = torch.randperm(len(rows)), 0
    for _ in range(STEPS):
        if at >= len(rows):
            order, at = torch.randperm(len(rows)), 0
        part, at = order[at : at + BATCH], at + BATCH
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(rows[part]), classes[part])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return Thief(net)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()

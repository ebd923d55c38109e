"""Estimates of true answers from those that a defense told, by a network trained on pairs."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from moatbench.knobs import check_number, check_whole
from moatbench.learners.deep.device import one_stream, one_thread
from moatbench.learners.restoring import Pairs
from moatbench.types import Array, Generator, Labels

WIDTHS = {  # units of the two layers, up to so many classes; the last of more
    10: (128, 64),
    43: (512, 256),
    100: (1024, 512),
    200: (2048, 1024),
}
MOMENTUM, DECAY = 0.9, 1e-4
LEAK = 0.2  # slope of the rectifiers below zero
HALVED = 0.5  # of the epochs, after which the learning rate is halved
BATCHES = 4  # an epoch at least, while a batch keeps two rows


@dataclass(frozen=True)
class DDAE:
    """Train a network on pairs to tell the truth from what is told.

    Layers k-128-64-k (wider beyond ten classes), each followed by batch normalisation and a leaky
    rectifier, the last one too; softmax at the end; L1 loss, summed over the classes; gradient
    descent with momentum 0.9 and decay 1e-4, the rate halved midway. Published are 200 epochs of
    1,000,000 pairs in batches of 1024; a CPU wants less. It can be worse than what was told, as of
    answers rounded to one decimal.

    Args:
        epochs: passes over the pairs, at least 1.
        batch: pairs a step, at least 2; fewer where an epoch would have less than four steps.
        rate: learning rate, above 0; published: 0.01.

    Source: Chen et al. 2023, "D-DAE: Defense-Penetrating Model Extraction Attacks" (IEEE S&P), with
    layers and constants of the re-implementation that ships with ModelGuard (its authors released
    none), but for batch, epochs and pairs.
    """

    epochs: int
    batch: int
    rate: float

    def __post_init__(self) -> None:
        check_whole("d-dae: epochs", self.epochs, 1)
        check_whole("d-dae: batch", self.batch, 2)
        check_number("d-dae: rate", self.rate, 0, above=True)

    def learn(self, pairs: Pairs, keeps_labels: bool, rng: Generator) -> "RestoringNet":
        """Train from scratch; whether the labels are kept does not matter to it."""
        import torch

        told, true = (np.ascontiguousarray(part, np.float32) for part in pairs[:2])
        with one_stream(int(rng.integers(2**63))):
            net = _network(told.shape[1])
            self._train(net, torch.from_numpy(told), torch.from_numpy(true))
        return RestoringNet(net.eval())

    def _train(self, net: Any, told: Any, true: Any) -> None:
        import torch

        optimiser = torch.optim.SGD(
            net.parameters(), lr=self.rate, momentum=MOMENTUM, weight_decay=DECAY
        )
        size = max(2, min(self.batch, len(told) // BATCHES))
        for epoch in range(self.epochs):
            if epoch == int(HALVED * self.epochs):
                optimiser.param_groups[0]["lr"] /= 2
            for rows in torch.split(torch.randperm(len(told)), size):
                if len(rows) > 1:  # one alone has no variance to normalise by
                    optimiser.zero_grad()
                    gap = torch.softmax(net(told[rows]), dim=1) - true[rows]
                    gap.abs().sum(dim=1).mean().backward()
                    optimiser.step()


@dataclass(frozen=True)
class RestoringNet:
    """A trained network: `restore` takes answers told to estimates of the true ones."""

    net: Any

    def restore(self, told: Array, labels: Labels) -> Array:
        """Estimate; the labels are not looked at."""
        import torch

        with one_thread(), torch.no_grad():
            scores = self.net(torch.from_numpy(np.ascontiguousarray(told, np.float32))).double()
            return np.asarray(torch.softmax(scores, dim=1).numpy())


def _network(k: int) -> Any:
    from torch import nn

    layers: list[nn.Module] = []
    width = k
    for units in (*hidden(k), k):
        layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.LeakyReLU(LEAK)]
        width = units
    return nn.Sequential(*layers)


def hidden(k: int) -> tuple[int, int]:
    """Units of the hidden layers for k classes."""
    return next((units for most, units in WIDTHS.items() if k <= most), WIDTHS[max(WIDTHS)])

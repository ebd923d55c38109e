"""Recipes of training by name: ours, and those of papers, as their authors' code has them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.learners.deep.device import DEVICES, PRECISIONS

OPTIMISERS = ("adam", "muon", "sgd")
SCHEDULES = ("constant", "step", "cosine", "one_cycle")
LOSSES = ("cross_entropy", "l1_log", "squared_log")
LARGE = 10_000  # rows, from which a batch is twice as large


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        steps: of the optimiser at least.
        epochs: passes over the data at least; of both, what takes longer.
        batch: rows a step; None is 64, and 128 from 10,000 rows on; half as many where it is quick.
        optimiser: adam (decay apart from the gradient), sgd, or muon: adam, but for matrices.
        rate: learning rate.
        momentum: of sgd.
        nesterov: whether sgd looks ahead.
        decay: of the weights.
        schedule: constant; step, to a share `fall` every so many epochs; cosine to zero; one_cycle
            up and down.
        every: epochs between falls of the schedule `step`.
        fall: of the schedule `step`.
        loss: cross_entropy with soft labels; l1_log and squared_log, distance of log-probabilities
            from the told ones, both less their mean over the classes.
        augment: whether pictures are moved by a pixel at random.
        quick: whether a step is computed in the order of memory and by the kernels that take the
            least time: a quarter less, and other last bits.
        rotate: weight of telling by how many quarters each picture of a batch was turned: S4L.
        precision: float32, or bfloat16 with sums in float32; None is the run's.
        device: auto, cpu or cuda; None is the run's.
    """

    steps: int = 1500
    epochs: int = 30
    batch: int | None = None
    optimiser: str = "adam"
    rate: float = 3e-3
    momentum: float = 0.9
    nesterov: bool = False
    decay: float = 0.0
    schedule: str = "one_cycle"
    every: int = 10
    fall: float = 0.5
    loss: str = "cross_entropy"
    augment: bool = False
    quick: bool = False
    rotate: float = 0.0
    precision: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 0)
        check_whole("epochs", self.epochs, 0)
        if self.batch is not None:
            check_whole("batch", self.batch, 1)
        check_choice("optimiser", self.optimiser, OPTIMISERS)
        check_number("rate", self.rate, 0, above=True)
        check_number("momentum", self.momentum, 0, 1, below=True)
        check_number("decay", self.decay, 0)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_whole("every", self.every, 1)
        check_number("fall", self.fall, 0, 1, above=True)
        check_choice("loss", self.loss, LOSSES)
        check_number("rotate", self.rotate, 0)
        if self.precision is not None:
            check_choice("precision", self.precision, PRECISIONS)
        if self.device is not None:
            check_choice("device", self.device, DEVICES)

    def batch_for(self, n: int) -> int:
        """Rows a step, of n."""
        usual = (64 if n < LARGE else 128) // (2 if self.quick else 1)
        return min(n, self.batch or usual)

    def steps_for(self, n: int) -> int:
        """Steps that n rows take."""
        return max(self.steps, self.epochs * -(-n // self.batch_for(n)))


_SGD = Recipe(steps=0, optimiser="sgd")
RECIPES = {
    "ours": Recipe(),
    # Tang et al. 2024 (USENIX Security): the thief's, of its code at the commit of 2023-11
    "modelguard": replace(
        _SGD, epochs=30, batch=128, rate=0.1, momentum=0.5, schedule="step", every=10, fall=0.5
    ),
    # Mazeika et al. 2022 (ICML), "How to Steer Your Adversary"
    "grad2": replace(
        _SGD, epochs=50, batch=128, rate=0.1, nesterov=True, decay=5e-4, schedule="cosine"
    ),
    # Orekondy et al. 2019 (CVPR)
    "knockoff": replace(
        _SGD, epochs=200, batch=64, rate=0.01, momentum=0.5, schedule="step", every=60, fall=0.1
    ),
}


def recipe(name: str, changes: Mapping[str, Any], where: str) -> Recipe:
    """Return a recipe by name, with some of its fields changed.

    Args:
        name: of `RECIPES`.
        changes: fields of `Recipe`.
        where: the name and the changes stand in the config, for messages.

    Raises:
        ValueError: there is no such recipe or field, or a value is out of range.
    """
    check_choice(f"{where}.recipe", name, tuple(RECIPES))
    known = [field.name for field in fields(Recipe)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"{where}.training must hold {', '.join(known)}, got {', '.join(unknown)}")
    return replace(RECIPES[name], **changes)

"""The training loop of deep networks: victims, surrogates and what HODA watches go through it.

D-DAE's network of answers has a loop of its own (`learners.ddae`), polishing goes by L-BFGS
(`polish`), and the small networks of defenses are fitted without torch.
"""

from collections.abc import Callable, Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moatbench.learners.deep.device import precise, resolved
from moatbench.learners.deep.muon import Muon
from moatbench.learners.deep.nets import Weights, kept
from moatbench.learners.deep.recipes import Recipe
from moatbench.types import Array, Generator

LEAST_TOLD = 1e-12  # a probability below is as good as none: logarithms end there
FLATTEST = 2.0**-20  # mean distance of log-probabilities from their mean, below which none is told
WARM_UP = 0.1  # of the steps of one_cycle


class Diverged(ValueError):
    """The loss is no number."""


@dataclass(frozen=True)
class Exposure:
    """Rows of no class, on which a network is to be undecided (outlier exposure).

    Args:
        z: (m, d) numbers from -1 to 1.
        weight: of the cross-entropy from the even distribution, on as many rows as a batch has.

    Source: Hendrycks et al. 2019, "Deep Anomaly Detection with Outlier Exposure",
    arXiv:1812.04606.
    """

    z: Array
    weight: float


@dataclass
class Along:
    """What becomes of a network along its training.

    Args:
        steps: after which its weights are kept.
        states: the weights, by the names that torch gives them.
    """

    steps: Collection[int]
    states: list[dict[str, Weights]] = field(default_factory=list)


def train(
    net: nn.Module,
    z: Array,
    targets: Array,
    recipe: Recipe,
    rng: Generator,
    exposure: Exposure | None = None,
    along: Along | None = None,
) -> nn.Module:
    """Train a network, in place, and return it in evaluation.

    Args:
        net: takes rows (n, d) and answers scores (n, k), at first in units of `unit_of`.
        z: (n, d) numbers from -1 to 1, at least one row.
        targets: (n, k) labels or soft labels, rows summing to one.
        recipe: how.
        rng: draws the order of the rows, and of those of an exposure.
        exposure: rows of no class to be undecided on.
        along: is given the weights on the way.

    Raises:
        Diverged: the loss became no number.
        ValueError: pictures are to be moved or turned, and the network knows of none.
    """
    where = resolved(recipe.device)
    x = torch.from_numpy(np.ascontiguousarray(z, np.float32)).to(where)
    unit = unit_of(targets, recipe.loss)
    told = torch.from_numpy(np.asarray(_told(targets, recipe.loss) / unit, np.float32)).to(where)
    net = net.to(where).train()
    if len(x) == 1 and not _normalises_one(net, x):
        x, told = x.repeat(2, 1), told.repeat(2, 1)
    if recipe.quick:
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    n, steps = len(x), recipe.steps_for(len(x))
    size = recipe.batch_for(n)
    image = getattr(net[0], "image", None) if isinstance(net, nn.Sequential) else None
    if image is None and (recipe.augment or recipe.rotate):
        raise ValueError(
            "augment and rotate must be for networks of pictures, got a network of rows (mlp); "
            "leave them out, or choose cnn"
        )
    turned: _Turned | None = None
    if recipe.rotate and image is not None and isinstance(net, nn.Sequential):
        turned = _Turned(net, image).to(where)
    optimiser = _optimiser(net if turned is None else turned, recipe)
    loss = LOSS[recipe.loss]
    seed = int(rng.integers(2**31))
    draws = torch.Generator().manual_seed(seed)
    low = precise(recipe.precision) == "bfloat16"
    total = torch.zeros((), device=where)
    if exposure is not None:
        exposed = torch.from_numpy(np.ascontiguousarray(exposure.z, np.float32)).to(where)
    course = _course(recipe, steps, max(1, n // size))
    for step, (now, rows) in enumerate(zip(course, _batches(n, size, draws, where), strict=False)):
        for group in optimiser.param_groups:
            group.update(now)
        taken = x[rows]
        if recipe.augment and image is not None:
            taken = _moved(taken, image, draws)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            scores = net(taken)
        value = loss(scores.float(), told[rows])
        if exposure is not None:
            value = value + exposure.weight * _undecided(net, exposed, size, draws)
        if turned is not None:
            value = value + recipe.rotate * turned(taken, draws)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += value.detach()
        if step % 100 == 99 or step == steps - 1:
            _check(total, step)
        if along is not None and step + 1 in along.steps:
            along.states.append(kept(times(net, unit)))
            times(net, 1 / unit)
    return times(net.eval(), unit)


def _normalises_one(net: nn.Module, x: Tensor) -> bool:
    """Whether a single row has a variance: not where batch normalisation is left one pixel."""
    try:
        with torch.no_grad():
            deepcopy(net)(x)  # a copy: its running means move
    except ValueError:
        return False
    return True


def shrunk(net: nn.Module, fresh: nn.Module, share: float) -> nn.Module:
    """Mix fresh weights into a network's, in place, of which this share stays; return it.

    What goes on from old weights as they are knows the old rows best, and new ones less well than
    a network that met all at once.

    Source: Ash & Adams 2020, "On Warm-Starting Neural Network Training" (NeurIPS),
    arXiv:1910.08475: shrink and perturb.
    """
    with torch.no_grad():
        for weights, new in zip(net.parameters(), fresh.parameters(), strict=True):
            weights.mul_(share).add_(new, alpha=1 - share)
    return net


class _Turned(nn.Module):
    """A network with a second head, which tells by how many quarters a picture was turned.

    Source: Zhai et al. 2019, "S4L: Self-Supervised Semi-Supervised Learning", arXiv:1905.03670, as
    in the thieves of Jagielski et al. 2020, arXiv:1909.01838.
    """

    def __init__(self, net: nn.Sequential, image: tuple[int, ...]) -> None:
        super().__init__()
        self.net, self.image = net, image
        last = net[-1]
        assert isinstance(last, nn.Linear), "every architecture ends so"
        self.head = nn.Linear(last.in_features, 4)

    def forward(self, x: Tensor, draws: torch.Generator) -> Tensor:
        """Return the loss of telling it, on rows (n, d)."""
        pictures = x.reshape(-1, *self.image)
        quarters = torch.randint(4, (len(x),), generator=draws)
        if self.image[1] != self.image[2]:  # only halves fit
            quarters = quarters // 2 * 2
        rows = torch.stack(
            [torch.rot90(p, int(q), (1, 2)) for p, q in zip(pictures, quarters, strict=True)]
        )
        features = self.net[:-1](rows.flatten(1))
        return nn.functional.cross_entropy(self.head(features), quarters.to(x.device))


def _undecided(net: nn.Module, exposed: Tensor, size: int, draws: torch.Generator) -> Tensor:
    rows = torch.randint(len(exposed), (size,), generator=draws).to(exposed.device)
    return -torch.log_softmax(net(exposed[rows]).float(), dim=1).mean()


def _check(total: Tensor, step: int) -> None:
    if not bool(torch.isfinite(total)):
        raise Diverged(
            f"training must have a finite loss, got none by step {step + 1}; lower the rate"
        )


def _batches(n: int, size: int, draws: torch.Generator, where: str) -> Iterator[Tensor]:
    """Yield rows of batches without end, each pass in another order; what is left over is left."""
    while True:
        order = torch.randperm(n, generator=draws).to(where)
        for at in range(0, n - size + 1, size):
            yield order[at : at + size]


def _moved(x: Tensor, image: tuple[int, ...], draws: torch.Generator) -> Tensor:
    """Move pictures by up to a pixel, the whole batch alike; what comes in is dark."""
    down, right = (int(v) for v in torch.randint(-1, 2, (2,), generator=draws))
    wide = nn.functional.pad(x.reshape(-1, *image), (1, 1, 1, 1), value=-1.0)
    h, w = image[1:]
    return wide[:, :, 1 + down : 1 + down + h, 1 + right : 1 + right + w].reshape(len(x), -1)


def _told(targets: Array, loss: str) -> Array:
    """(n, k) what the loss compares with: shares, or centred log-probabilities."""
    return targets if loss == "cross_entropy" else centred(targets)


def unit_of(targets: Array, loss: str) -> float:
    """Return what one of the scores in training counts in those told: a power of two, at most one.

    The rate is for scores of some units. Where answers (n, k) are nearly alike, as behind the
    reverse sigmoid, steps would throw the scores further than they differ, and units die.
    """
    if loss == "cross_entropy":
        return 1.0
    spread = float(np.abs(centred(targets)).mean())
    return float(2.0 ** np.floor(np.log2(np.clip(spread, FLATTEST, 1.0))))


def times(net: nn.Module, factor: float) -> nn.Module:
    """Multiply a network's scores, in place: without rounding, by a power of two."""
    if factor != 1:
        last = net[-1] if isinstance(net, nn.Sequential) else None
        assert isinstance(last, nn.Linear), "every architecture ends so"
        with torch.no_grad():
            for weights in last.parameters():
                weights.mul_(factor)
    return net


def centred(p: Array) -> Array:
    """(n, k) log-probabilities less their mean over the classes."""
    logs = np.log(np.maximum(p, LEAST_TOLD))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


def _cross_entropy(scores: Tensor, told: Tensor) -> Tensor:
    return -(told * torch.log_softmax(scores, dim=1)).sum(dim=1).mean()


def _l1_log(scores: Tensor, told: Tensor) -> Tensor:
    return (scores - scores.mean(dim=1, keepdim=True) - told).abs().mean()


def _squared_log(scores: Tensor, told: Tensor) -> Tensor:
    return ((scores - scores.mean(dim=1, keepdim=True) - told) ** 2).mean()


LOSS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "l1_log": _l1_log,
    "squared_log": _squared_log,
}


def _optimiser(net: nn.Module, recipe: Recipe) -> Any:
    if recipe.optimiser == "muon":
        heads = 2 if isinstance(net, _Turned) else 1
        return Muon(net, recipe.rate, recipe.decay, recipe.quick or None, heads)
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(
            net.parameters(), recipe.rate, weight_decay=recipe.decay, fused=recipe.quick or None
        )
    return torch.optim.SGD(
        net.parameters(),
        recipe.rate,
        momentum=recipe.momentum,
        weight_decay=recipe.decay,
        nesterov=recipe.nesterov,
    )


def _course(recipe: Recipe, steps: int, a_pass: int) -> list[dict[str, Any]]:
    """Return the rate, and what moves with it, at each step.

    A schedule along the training takes a tenth or more of the step of a small network.
    """
    optimiser = _optimiser(nn.ParameterList([torch.zeros(())]), recipe)
    schedule, (group,) = _schedule(optimiser, recipe, steps, a_pass), optimiser.param_groups
    moving, course = [key for key in ("lr", "betas", "momentum") if key in group], []
    optimiser.step()  # a schedule wants it to come first
    for _ in range(steps):
        course.append({key: group[key] for key in moving})
        schedule.step()
    return course


def _schedule(optimiser: Any, recipe: Recipe, steps: int, a_pass: int) -> Any:
    schedules = torch.optim.lr_scheduler
    if recipe.schedule == "one_cycle":
        return schedules.OneCycleLR(
            optimiser,
            recipe.rate,
            total_steps=steps + 1,
            pct_start=WARM_UP,
            cycle_momentum=recipe.optimiser != "sgd",  # sgd keeps the recipe's
        )
    if recipe.schedule == "cosine":
        return schedules.CosineAnnealingLR(optimiser, max(1, steps))
    if recipe.schedule == "step":
        return schedules.StepLR(optimiser, recipe.every * a_pass, recipe.fall)
    return schedules.LambdaLR(optimiser, lambda _: 1.0)

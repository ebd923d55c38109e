"""Train on past where batches end: all rows at once, with the curvature, on exact answers."""

import torch
from torch import Tensor, nn

from moatbench.learners.deep.device import one_thread, resolved
from moatbench.learners.deep.nets import Net, kept
from moatbench.learners.deep.training import centred
from moatbench.types import Array

ITERATIONS, ROUND = 120, 60  # of L-BFGS, and of one round in one precision
PASSES = 400_000  # rows that are gone over in all, at most: fewer iterations where there are many
CHUNK = 4096  # rows at once, for the memory's sake
PAIRS = 30  # that tell the curvature
FINE = 1e-2  # mean squared error below which single precision is too coarse
CONVERGED = 1e-20  # of the same: nothing is left to learn


def polished(net: Net, z: Array, targets: Array, device: str | None = None) -> Net:
    """Go on from a network by L-BFGS on the squared distance of centred log-probabilities.

    In single precision while errors are coarse, for a quarter of the time, then in double.

    Args:
        net: trained so far; stays as it is.
        z: (n, d) numbers from -1 to 1.
        targets: (n, k) exact probabilities.
        device: auto, cpu or cuda; None is the run's.
    """
    left = min(ITERATIONS, PASSES // len(z))
    precision = torch.float32
    with one_thread():
        module = net.fresh().eval().to(resolved(device))
        while left > 0:
            module.to(precision)
            error = _descend(module, z, centred(targets), min(ROUND, left), precision)
            left -= ROUND
            if error < CONVERGED:
                break
            precision = torch.float64 if error < FINE else precision
    state = kept(module.float())
    return Net(net.name, net.image, net.k, net.knobs, state, net.device)


def _descend(
    module: nn.Module, z: Array, wanted: Array, iterations: int, precision: torch.dtype
) -> float:
    """Make so many iterations; return the mean squared error that is left."""
    where = next(module.parameters()).device
    x, y = torch.from_numpy(z).to(where, precision), torch.from_numpy(wanted).to(where, precision)
    optimiser = torch.optim.LBFGS(
        module.parameters(),
        max_iter=iterations,
        history_size=PAIRS,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = torch.zeros((), device=where, dtype=precision)
        for at in range(0, len(x), CHUNK):
            scores = module(x[at : at + CHUNK])
            error = scores - scores.mean(dim=1, keepdim=True) - y[at : at + CHUNK]
            part = (error**2).sum() / wanted.size
            part.backward()
            total += part.detach()
        return total

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(closure())

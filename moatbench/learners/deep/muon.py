"""Adam, but for matrices, whose momentum is made orthogonal: fewer steps for small networks."""

from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
PASSES = 3  # of the iteration; five tell no more, and take longer
LARGEST = 128  # rows or columns, whichever are fewer; beyond, it takes longer than the gradient
STRIDE = 10 / 3  # root mean square of a step's entries, as a multiple of Adam's rate
A, B, C = 3.4445, -4.7750, 2.0315


class Muon(torch.optim.AdamW):
    """Steps that move a matrix alike in all of its directions; Adam's for all other weights.

    A gradient of few rows has few directions, and its largest hide the others. The momentum's
    nearest orthogonal matrix has them all. Filters of a convolution are rows of a matrix. Adam
    keeps last layers, vectors, and matrices that are large.

    Args:
        net: to be trained.
        rate: of Adam; its groups hold it, and a schedule may move it.
        decay: of the matrices, apart from the gradient; others keep theirs.
        fused: whether Adam's steps are computed by one kernel.
        heads: how many of the last matrices are last layers.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
    kellerjordan.github.io/posts/muon; the coefficients are theirs. Steps by the size of a matrix:
    Liu et al. 2025, "Muon is Scalable for LLM Training", arXiv:2502.16982.
    """

    def __init__(
        self, net: nn.Module, rate: float, decay: float, fused: bool | None, heads: int = 1
    ) -> None:
        weights = list(net.parameters())
        hidden = [w for w in weights if w.ndim > 1][:-heads]
        self.matrices = [w for w in hidden if min(len(w), w[0].numel()) <= LARGEST]
        self.momenta = [torch.zeros_like(w) for w in self.matrices]
        ours = {id(w) for w in self.matrices}
        others = [w for w in weights if id(w) not in ours]
        super().__init__(others, rate, weight_decay=0.0, fused=fused)
        self.decay = decay

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all weights."""
        super().zero_grad(set_to_none)
        for weights in self.matrices:
            weights.grad = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step by the gradients."""
        super().step(closure)
        if not self.matrices:
            return
        (group,) = self.param_groups
        rate = group["lr"]
        for weights, momentum in zip(self.matrices, self.momenta, strict=True):
            if weights.grad is None:  # frozen
                continue
            momentum.lerp_(weights.grad, 1 - MOMENTUM)
            way = weights.grad.lerp(momentum, MOMENTUM)  # Nesterov's
            straight = orthogonal(way.reshape(len(way), -1))
            weights.mul_(1 - rate * self.decay)
            length = STRIDE * rate * max(straight.shape) ** 0.5
            weights.add_(straight.view_as(weights), alpha=-length)


def orthogonal(matrix: Tensor) -> Tensor:
    """(r, c) nearly the orthogonal matrix that is nearest; small directions stay smaller.

    By Newton and Schulz's iteration, on the shorter side.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-30)
    for _ in range(PASSES):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x.T.contiguous() if tall else x

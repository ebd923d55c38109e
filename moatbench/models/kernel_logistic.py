"""Kernel logistic regression: a softmax over similarities to a few representers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from moatbench.models import forward
from moatbench.models.kernels import Kernel
from moatbench.models.linear import block_normal, design
from moatbench.numerics.minimise import Solution, levenberg_marquardt
from moatbench.numerics.objectives import LogOdds, RoundedOdds
from moatbench.types import Array, Generator, Rows

EXACT = 1e-18  # half the mean squared gap in log-odds, summed over the classes of a row
STARTS = 3
CAPS = (1e1, 1e3, 1e5)  # of the weights of rounded answers, in turn
CANDIDATES = 500  # representers to start from, of which the best explain the answers


def kernel_scores(x: Array, representers: Array, coef: Array, gamma: float) -> Array:
    """(n, k) scores of the rows of x (n, d), the same bits for a row in any batch.

    Args:
        x: inputs.
        representers: (r, d).
        coef: (r + 1, k), intercepts last.
        gamma: of the RBF kernel.
    """
    kernel = Kernel("rbf", gamma)
    parts = [kernel(block, representers) @ coef[:-1] for block in forward.blocks(x)]
    scores: Array = np.concatenate([np.empty((0, coef.shape[1])), *parts])[: len(x)]
    scores += coef[-1]
    return scores


@dataclass(frozen=True)
class KernelLogistic:
    """Scores [K 1] coef on the rows of x (n, d), where K_ij = exp(-gamma |x_i - s_j|^2).

    theta is the representers s (r, d), row by row, then coef (r + 1, k), class by class.

    Source: Zhu and Hastie 2005; Tramèr et al. 2016, sec. 4.1.3.
    """

    x: Array
    k: int
    gamma: float
    representers: int

    @property
    def unknowns(self) -> int:
        """Equations that determine the model: the scores' common shift does not matter."""
        return int(self.representers * self.x.shape[1]) + (self.representers + 1) * (self.k - 1)

    def parts(self, theta: Array) -> tuple[Array, Array]:
        """The representers (r, d), and coef (r + 1, k), intercepts last."""
        split = self.representers * self.x.shape[1]
        return theta[:split].reshape(self.representers, -1), theta[split:].reshape(self.k, -1).T

    def parameters(self, theta: Array) -> Mapping[str, Array]:
        """Representers (r, d), in any order; coef (k, r) and intercept (k,), summing to zero."""
        representers, coef = self.parts(theta)
        coef = coef - coef.mean(axis=1, keepdims=True)
        return {"representers": representers, "coef": coef[:-1].T, "intercept": coef[-1]}

    def features(self, theta: Array) -> Array:
        """(n, r + 1) similarities to the representers, and a column of ones."""
        return design(Kernel("rbf", self.gamma)(self.x, self.parts(theta)[0]))

    def scores(self, theta: Array) -> Array:
        return self.features(theta) @ self.parts(theta)[1]

    def gradient(self, theta: Array, by_score: Array) -> Array:
        features, (representers, coef) = self.features(theta), self.parts(theta)
        pull = 2 * self.gamma * (by_score @ coef[:-1].T) * features[:, :-1]
        by_representer = pull.T @ self.x - pull.sum(axis=0)[:, None] * representers
        return np.concatenate([by_representer.ravel(), (by_score.T @ features).ravel()])

    def normal(self, theta: Array, curvature: Array) -> Array:
        features, (representers, coef) = self.features(theta), self.parts(theta)
        (count, d), split = representers.shape, representers.size
        pull = 2 * self.gamma * features[:, :-1, None]
        slopes = pull * (self.x[:, None] - representers)  # (n, r, d)
        by_score = np.matmul(curvature, coef[:-1].T)  # (n or 1, k, r)
        weights = np.matmul(coef[:-1], by_score)  # (n or 1, r, r)
        normal = np.zeros((len(theta), len(theta)))
        for i in range(count):
            rows = slice(i * d, (i + 1) * d)
            others = (weights[:, i, i:, None] * slopes[:, i:]).reshape(len(slopes), -1)
            normal[rows, i * d : split] = slopes[:, i].T @ others
            cross = by_score[:, :, i, None] * features[:, None, :]
            normal[rows, split:] = slopes[:, i].T @ cross.reshape(len(slopes), -1)
        normal[split:, split:] = block_normal(features, curvature)
        return normal

    def approximate(self, answers: Array, half: float, inputs: Array) -> Solution:
        """Fit to answers (n, k) known to +-half; `inputs` (m, d) are candidates to start from.

        Unweighted, the log-odds of faint classes, which rounding spoils, would lead the search into
        a local minimum.
        """
        projected = Projected(self, LogOdds(np.maximum(answers, half)))
        theta = projected.whole(projected.begin(inputs))
        fits: list[Solution] = []
        for cap in CAPS:
            odds = RoundedOdds(answers, half, cap)
            fits.append(levenberg_marquardt(self, odds, theta, iterations=40, stall=2e-2))
            theta = fits[-1].theta
        return fits[-1]

    def solve(self, answers: Array, inputs: Array, rng: Generator) -> Solution:
        """Solve for exact answers (n, k), all above zero: representers and all.

        Args:
            answers: to the rows of x.
            inputs: (m, d) candidates to start from.
            rng: shuffles them.

        Source: Tramèr et al. 2016, sec. 4.1.3, solved there by minimising a loss.
        """
        projected = Projected(self, LogOdds(answers))
        fits: list[Solution] = []
        for _ in range(STARTS):
            fits.append(projected.search(inputs[rng.permutation(len(inputs))[:CANDIDATES]]))
            if fits[-1].value <= EXACT:
                break
        best = min(fits, key=lambda fit: fit.value)
        return best._replace(theta=projected.whole(best.theta))


@dataclass(frozen=True)
class Projected:
    """A model whose coefficients are solved for: a function of its representers (r * d,) alone.

    Source: Golub and Pereyra 1973 (variable projection), with Kaufman's 1975 normal matrix.
    """

    model: KernelLogistic
    odds: LogOdds

    @cached_property
    def goal(self) -> Array:
        """(n, k) the answered scores, summing to zero."""
        goal: Array = self.odds.logs - self.odds.logs.mean(axis=1, keepdims=True)
        return goal

    def whole(self, theta: Array) -> Array:
        """Append the coefficients."""
        features = design(Kernel("rbf", self.model.gamma)(self.model.x, self._rows(theta)))
        coef = np.asarray(np.linalg.lstsq(features, self.goal, rcond=1e-13)[0])
        return np.concatenate([theta, coef.T.ravel()])

    def scores(self, theta: Array) -> Array:
        return self.model.scores(self.whole(theta))

    def gradient(self, theta: Array, by_score: Array) -> Array:
        return self.model.gradient(self.whole(theta), by_score)[: len(theta)]

    def normal(self, theta: Array, curvature: Array) -> Array:
        whole = self.whole(theta)
        features, (representers, coef) = self.model.features(whole), self.model.parts(whole)
        pull = 2 * self.model.gamma * features[:, :-1, None]
        slopes = (pull * (self.model.x[:, None] - representers)).reshape(len(features), -1)
        slopes -= (basis := np.linalg.qr(features)[0]) @ (basis.T @ slopes)
        weights = coef[:-1] @ curvature[0] @ coef[:-1].T
        normal = (slopes.T @ slopes).reshape(*representers.shape, *representers.shape)
        normal *= weights[:, None, :, None]
        return normal.reshape(len(theta), len(theta))

    def search(self, candidates: Array) -> Solution:
        """Levenberg-Marquardt from the candidates (m, d) that explain the answers best."""
        start = self.begin(candidates)
        return levenberg_marquardt(
            self, self.odds, start, iterations=100, damping=1e-3, target=EXACT, stall=1e-2
        )

    def begin(self, candidates: Array) -> Array:
        """Unknowns of the candidates (m, d) that explain the answers best."""
        return candidates[self._chosen(candidates)].ravel()

    def _chosen(self, candidates: Array) -> Rows:
        """Choose representers one by one, as orthogonal least squares does."""
        features = Kernel("rbf", self.model.gamma)(self.model.x, candidates)
        features, rest = features - features.mean(axis=0), self.goal - self.goal.mean(axis=0)
        floor = 1e-10 * (features**2).sum(axis=0)
        chosen: list[int] = []
        for _ in range(self.model.representers):
            square = (features**2).sum(axis=0)
            gain = ((features.T @ rest) ** 2).sum(axis=1) / np.maximum(square, floor)
            gain[chosen] = -1.0
            chosen.append(int(gain.argmax()))
            unit = features[:, chosen[-1]] / np.sqrt(max(square[chosen[-1]], floor[chosen[-1]]))
            features = features - np.outer(unit, unit @ features)
            rest = rest - np.outer(unit, unit @ rest)
        return np.array(chosen, dtype=np.intp)

    def _rows(self, theta: Array) -> Array:
        return theta.reshape(self.model.representers, -1)

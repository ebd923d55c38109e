"""VarDetect: an account's queries, seen in a latent space, look like outliers and not like data.

Source: Pal et al. 2021, "Stateful Detection of Model Extraction Attacks", arXiv:2107.05166.
The abstract was read; the details below are from memory of the paper.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.spatial.distance import cdist, pdist

from moatbench.knobs import check_whole
from moatbench.models import forward
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch, Scaling
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

ROWS = 1000  # of the defender's data, at most
REFERENCE = 200  # rows that stand for customers, and rows that stand for outliers


@dataclass
class VarDetect(Monitor):
    """Alarm when an account's latest queries resemble outliers more than customers' do.

    A variational autoencoder is fitted on the defender's data and on outliers: half uniform valid
    inputs, half its rows with the features shuffled among them. Every `check_every` queries, the
    latent means Z of the account's last `window` are compared with those of data, P, and of
    outliers, Q, by the squared maximum mean discrepancy under a Gaussian kernel of median width,
        MMD2(Z, P) = mean k(Z, Z) + mean k(P, P) - 2 mean k(Z, P),
    means over all pairs. The score is MMD2(Z, P) / (MMD2(Z, P) + MMD2(Z, Q)). The tests check what
    that needs: MMD2 is never negative, 0 for equal sets, and so the score lies in [0, 1], 0 where
    Z = P and 1 where Z = Q.

    Departs from the paper, whose autoencoder is a deep network for pictures: ours is linear, for
    tables, with one noise level for all features. Its optimum is known in closed form (principal
    components, shrunk; Lucas et al. 2019, "Don't Blame the ELBO!", after Tipping and Bishop 1999),
    so that deploying takes milliseconds and cannot end in a bad minimum; what depends on more
    than two moments of the data it cannot see. The threshold is calibrated, not set at a ratio.

    Args:
        latents: dimensions of the latent space; at most the number of columns are used.
        window: queries that are compared.
        check_every: queries of an account from one test to the next.
        calibration: of the threshold, on the defender's training data.
    """

    latents: int
    window: int
    check_every: int
    calibration: Calibration

    def __post_init__(self) -> None:
        for knob, least in (("latents", 1), ("window", 2), ("check_every", 1)):
            check_whole(f"vardetect: {knob}", getattr(self, knob), least)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; fit the autoencoder, and find how customers' scores vary."""
        self._accounts: dict[str, _Buffer] = {}
        self._latch = Latch()
        x = victim.shares.x_train
        x = x[rng.permutation(len(x))[:ROWS]]
        strange = outliers(x, victim.space, rng)
        self._encode = LinearVAE.fit(x, strange, self.latents)
        half = min(REFERENCE, len(x) // 2)
        usual = self._encode(x[:half])
        self._ratio = Ratio.of(usual, self._encode(strange[rng.permutation(len(strange))[:half]]))
        z = self._encode(x[half:])  # the accounts ask what is not in the reference
        drawn = self.calibration.draw(len(z), rng, repeats=True)
        kernel, to = self._ratio.kernel(z, z), self._ratio.to_references(z)
        greatest = []
        for rows in drawn:
            windows = [rows[end - self.window : end] for end in self._ends(0, len(rows))]
            scores = [self._ratio(kernel[np.ix_(w, w)].mean(), to[w].mean(axis=0)) for w in windows]
            greatest.append(max(scores, default=-inf))
        self.threshold = self.calibration.threshold(greatest)

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) how much the account's window resembles outliers; -inf where no test is due."""
        buffer = self._accounts.setdefault(account, _Buffer(np.empty((0, self._encode.width))))
        seen = np.concatenate([buffer.latents, self._encode(x)])
        first = buffer.asked - len(buffer.latents)  # number of the query before seen[0]
        scores = np.full(len(x), -inf)
        for end in self._ends(buffer.asked, buffer.asked + len(x)):
            z = seen[end - first - self.window : end - first]
            own, to = self._ratio.kernel(z, z).mean(), self._ratio.to_references(z).mean(axis=0)
            scores[end - buffer.asked - 1] = self._ratio(float(own), to)
        buffer.asked += len(x)
        buffer.latents = seen[-self.window :]
        return scores

    def _ends(self, asked: int, until: int) -> range:
        """Numbers of the queries after `asked`, up to `until`, at which a test is due."""
        every = self.check_every
        return range(max(-(-self.window // every), asked // every + 1) * every, until + 1, every)


@dataclass
class _Buffer:
    """What is known of an account."""

    latents: Array  # (window, latents) at most
    asked: int = 0


def outliers(x: Array, space: InputSpace, rng: Generator) -> Array:
    """(n, d) rows unlike x (n, d): uniform ones, and x with each feature shuffled by itself."""
    shuffled = x[: len(x) // 2].copy()
    for columns in space.columns:
        shuffled[:, columns] = shuffled[rng.permutation(len(shuffled))][:, columns]
    return np.concatenate([shuffled, space.sample(len(x) - len(shuffled), rng)])


@dataclass(frozen=True)
class LinearVAE:
    """The encoder of a linear variational autoencoder at its optimum.

    Args:
        scaling: of the columns, by the defender's data.
        mean: (d,) of what it was fitted on, scaled.
        weights: (d, latents); the mean of the posterior is (x - mean) @ weights.
    """

    scaling: Scaling
    mean: Array
    weights: Array

    @classmethod
    def fit(cls, x: Array, strange: Array, latents: int) -> "LinearVAE":
        """Fit on both; `strange` may be few.

        With the covariance's eigenvalues l_i, eigenvectors u_i and s the mean of those left out,
        the decoder is W = u_i sqrt(l_i - s) and the encoder (W'W + s I)^-1 W' =
        u_i sqrt(l_i - s) / l_i.
        """
        scaling = Scaling.of(x)
        both = scaling(np.concatenate([x, strange]))
        mean = both.mean(axis=0)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(both - mean, rowvar=False)))
        values, vectors = values[::-1].clip(0), vectors[:, ::-1]
        q = min(latents, len(values))
        noise = float(values[q:].mean()) if q < len(values) else 0.0
        top = values[:q]
        gain = np.divide(np.sqrt(top - noise), top, out=np.zeros(q), where=top > noise)
        return cls(scaling, mean, vectors[:, :q] * gain)

    @property
    def width(self) -> int:
        """Number of latent dimensions."""
        return int(self.weights.shape[1])

    def __call__(self, x: Array) -> Array:
        """(n, latents) the means of the posterior."""
        return forward.affine(self.scaling(x) - self.mean, self.weights, np.zeros(self.width))


@dataclass(frozen=True)
class Ratio:
    """How much nearer latents are to outliers than to data.

    Args:
        usual: (m, latents) of data.
        strange: (m, latents) of outliers.
        gamma: of the kernel exp(-gamma distance^2).
        within: mean kernel within the two.
    """

    usual: Array
    strange: Array
    gamma: float
    within: Array

    @classmethod
    def of(cls, usual: Array, strange: Array) -> "Ratio":
        """Take the kernel's width from the median distance between all of them."""
        median = float(np.median(pdist(np.concatenate([usual, strange]), "sqeuclidean")))
        gamma = 1 / median if median > 0 else 1.0
        kernels = [np.exp(-gamma * cdist(r, r, "sqeuclidean")).mean() for r in (usual, strange)]
        return cls(usual, strange, gamma, np.array(kernels))

    def kernel(self, one: Array, two: Array) -> Array:
        """(n, m) between two sets of latents."""
        return np.asarray(np.exp(-self.gamma * cdist(one, two, "sqeuclidean")))

    def to_references(self, z: Array) -> Array:
        """(n, 2) the mean kernel of each latent with data, and with outliers."""
        return np.stack([self.kernel(z, r).mean(axis=1) for r in (self.usual, self.strange)], 1)

    def __call__(self, own: float, to: Array) -> float:
        """Return the score, given the window's mean kernel within itself and `to_references`."""
        usual, strange = np.maximum(own + self.within - 2 * to, 0.0)
        return float(usual / (usual + strange)) if usual + strange > 0 else 0.0

"""VarDetect: an account's queries, seen in a latent space, look like outliers and not like data.

Source: Pal et al. 2021, "Stateful Detection of Model Extraction Attacks", arXiv:2107.05166.
Read: authors' code, abstract.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from moatbench.knobs import check_choice, check_whole
from moatbench.models import forward
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch, Scaling
from moatbench.numerics.discrepancy import Discrepancy
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

ROWS = 3000  # of the defender's data, at most: fewer stand badly for customers
REFERENCE = {"published": 100, "ratio": 200}  # rows that stand for customers, and for outliers
OUTLIERS = ("shuffled", "uniform", "noise")
SHARE, SPREAD = (0.2, 0.3), 0.5  # of noise in a row, and its deviation, in ranges of a feature
BLOCK = 256  # queries at a time: bounds the memory of their kernel


class VarDetect(Monitor):
    """Alarm when an account's latest queries, in a latent space, are unlike customers'.

    A variational autoencoder is fitted on the defender's data and on outliers. Every `check_every`
    queries, the latent means Z of the account's last `window` are compared by maximum mean
    discrepancies (MMD), as in `numerics/discrepancy.py`. `published`: the root of MMD2(Z, P), P 100
    training rows, under five Gaussians. `ratio`, which is ours and stronger among benign rows:
    MMD2(Z, P) / (MMD2(Z, P) + MMD2(Z, Q)), Q being outliers, under one Gaussian; it lies in [0, 1],
    0 where Z = P and 1 where Z = Q. As released, the window is 100, judged at each query, and
    outliers are data mixed with 20 to 30 % of noise; ours are shuffled and uniform rows.

    Departs from the paper, whose autoencoder is a deep network for pictures with a prior for data
    and one for outliers; ours is linear, for tables, with one prior and one noise level. Its
    optimum is known in closed form (principal components, shrunk; Lucas et al. 2019, "Don't Blame
    the ELBO!", after Tipping and Bishop 1999), so that deploying takes milliseconds and cannot end
    in a bad minimum; what depends on more than two moments of the data it cannot see. Latents are
    means, there they are drawn. Widths are shares of the median distance, there 1 to 20 on latents
    of unit scale; so the threshold is calibrated, there it is .25. Verified: both scores are those
    of the definition, by loops.

    Args:
        score: `published` or `ratio`.
        outliers: kinds, in equal shares: `shuffled` (each feature by itself), `uniform` (valid
            inputs), `noise` (data mixed with it).
        latents: dimensions of the latent space; at most the number of columns are used.
        window: queries that are compared.
        check_every: queries of an account from one test to the next.
        calibration: of the threshold, on the defender's training data.
    """

    def __init__(
        self,
        score: str,
        outliers: Sequence[str],
        latents: int,
        window: int,
        check_every: int,
        calibration: Calibration,
    ) -> None:
        check_choice("vardetect: score", score, REFERENCE)
        if not outliers or isinstance(outliers, str):
            raise ValueError(f"vardetect: outliers must be a list of kinds, got {outliers!r}")
        for kind in outliers:
            check_choice("vardetect: outliers", kind, OUTLIERS)
        for knob, value, least in (("latents", latents, 1), ("window", window, 2)):
            check_whole(f"vardetect: {knob}", value, least)
        check_whole("vardetect: check_every", check_every, 1)
        self.rule, self.outliers, self.latents = score, tuple(outliers), latents
        self.window, self.check_every, self.calibration = window, check_every, calibration

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; fit the autoencoder, and find how customers' scores vary."""
        self._accounts: dict[str, _Buffer] = {}
        self._latch = Latch()
        x = victim.shares.x_train
        x = x[rng.permutation(len(x))[:ROWS]]
        strange = outliers(x, victim.space, rng, self.outliers)
        self._encode = LinearVAE.fit(x, strange, self.latents)
        half = min(REFERENCE[self.rule], len(x) // 2)
        usual = self._encode(x[:half])
        if self.rule == "ratio":
            chosen = strange[rng.permutation(len(strange))[:half]]
            self._unlike = Discrepancy.ratio(usual, self._encode(chosen))
        else:
            self._unlike = Discrepancy.distance(usual)
        z = self._encode(x[half:])  # the accounts ask what is not in the reference
        drawn = self.calibration.draw(len(z), rng, repeats=True)
        kernel, to = self._unlike.kernel(z, z), self._unlike.to_references(z)
        ends = list(self._ends(0, self.calibration.horizon))
        self.threshold = self.calibration.threshold(
            [
                self._unlike.scores(kernel[np.ix_(r, r)], to[r], ends, self.window).max(
                    initial=-inf
                )
                for r in drawn
            ]
        )

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) how unlike customers' the account's window is; -inf where no test is due."""
        buffer = self._accounts.setdefault(account, _Buffer(np.empty((0, self._encode.width))))
        return np.concatenate([np.empty(0), *(self._more(z, buffer) for z in self._blocks(x))])

    def _blocks(self, x: Array) -> Iterator[Array]:
        for start in range(0, len(x), BLOCK):
            yield self._encode(x[start : start + BLOCK])

    def _more(self, z: Array, buffer: "_Buffer") -> Array:
        """(n,) the scores of the next queries, by their latents; they join the buffer."""
        seen = np.concatenate([buffer.latents, z])
        first = buffer.asked - len(buffer.latents)  # number of the query before seen[0]
        scores, asked = np.full(len(z), -inf), buffer.asked
        if ends := list(self._ends(asked, asked + len(z))):
            kernel, to = self._unlike.kernel(seen, seen), self._unlike.to_references(seen)
            places = [end - first for end in ends]
            found = self._unlike.scores(kernel, to, places, self.window)
            scores[np.array(ends) - asked - 1] = found
        buffer.asked += len(z)
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


def outliers(x: Array, space: InputSpace, rng: Generator, kinds: Sequence[str]) -> Array:
    """(n, d) rows unlike x (n, d), of some kinds in equal shares."""
    ends = [len(x) * (place + 1) // len(kinds) for place in range(len(kinds))]
    sizes = np.diff([0, *ends]).tolist()
    make = {"shuffled": _shuffled, "noise": _noisy}
    return np.concatenate(
        [
            space.sample(size, rng) if kind == "uniform" else make[kind](x[:size], space, rng)
            for kind, size in zip(kinds, sizes, strict=True)
        ]
    )


def _shuffled(x: Array, space: InputSpace, rng: Generator) -> Array:
    shuffled = x.copy()
    for columns in space.columns:
        shuffled[:, columns] = shuffled[rng.permutation(len(x))][:, columns]
    return shuffled


def _noisy(x: Array, space: InputSpace, rng: Generator) -> Array:
    """Mix with noise of a random level, all features but codes."""
    share = rng.uniform(*SHARE, size=(len(x), 1))
    noise = rng.normal(rng.uniform(0, 1, size=(len(x), 1)), SPREAD, size=x.shape)
    width = np.where(space.high > space.low, space.high - space.low, 1.0)
    mixed = (share * noise + (1 - share) * (x - space.low) / width).clip(0, 1)
    found = space.low + mixed * width
    found[:, space.coded] = x[:, space.coded]
    return np.asarray(found)


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

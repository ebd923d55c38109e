"""What a stolen model is worth: the judge, who scores surrogates off the meter."""

from dataclasses import dataclass

import numpy as np

from moatbench.attack import Surrogate
from moatbench.reply import Reply
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

UNIFORM_POINTS = 10_000  # no disagreement in 10,000 bounds the rate below 3e-4 at 95 % confidence
CHUNK = 4096
SAME_VALUE = 1e-6  # of the range of a regression victim's values


@dataclass(frozen=True)
class Sample:
    """Inputs to judge on, with the *undefended* victim's answers to them."""

    name: str
    x: Array
    truth: Reply


class Judge:
    """Compares surrogates with the undefended victim on points that no attack has seen.

    Fidelity is the share of points on which both give the same label (1 - R_test on the test data,
    1 - R_unif on uniform valid inputs, Tramèr et al. 2016, sec. 2); `cube`, where the space has
    one-hot groups, is uniform on the raw box, groups ignored, as in that paper's released code.

    For a regression victim, fidelity is the share of points whose values are equal within
    `SAME_VALUE` of the range of the victim's, and `error_<sample>` is the mean absolute difference,
    in units of the target; there is neither total variation nor accuracy (both NaN).
    """

    def __init__(self, victim: Victim, rng: Generator) -> None:
        space = victim.space
        points = {
            "test": victim.shares.x_test,
            "uniform": space.sample(UNIFORM_POINTS, rng),
        }
        if space.groups:
            points["cube"] = space.sample_cube(UNIFORM_POINTS, rng)
        self.samples = tuple(Sample(n, x, victim.predict(x)) for n, x in points.items())
        self._y = victim.shares.y_test
        self._regression = len(victim.classes) == 1
        accuracy = np.mean(self.samples[0].truth.labels == self._y)
        self.victim_accuracy = float("nan") if self._regression else float(accuracy)
        truths = [values(sample.truth) for sample in self.samples]
        self._tolerance = SAME_VALUE * float(np.ptp(np.concatenate(truths)))

    def score(self, surrogate: Surrogate) -> dict[str, float]:
        """Score on every sample: fidelity, total variation (NaN without outputs), accuracy."""
        if self._regression:
            return self._score_values(surrogate)
        scores: dict[str, float] = {}
        for sample in self.samples:
            reply = in_chunks(surrogate, sample.x)
            scores[f"fidelity_{sample.name}"] = fidelity(reply.labels, sample.truth.labels)
            scores[f"tv_{sample.name}"] = total_variation(reply.outputs, sample.truth.outputs)
            if sample.name == "test":
                scores["accuracy"] = fidelity(reply.labels, self._y)
        return scores

    def hits(self, surrogate: Surrogate) -> Mask:
        """(n,) on which rows of the test data it does as the victim: their mean is the fidelity."""
        sample = self.samples[0]
        reply = in_chunks(surrogate, sample.x)
        if not self._regression:
            return np.asarray(reply.labels == sample.truth.labels)
        return np.asarray(np.abs(values(reply) - values(sample.truth)) <= self._tolerance)

    def _score_values(self, surrogate: Surrogate) -> dict[str, float]:
        scores: dict[str, float] = {}
        for sample in self.samples:
            gap = np.abs(values(in_chunks(surrogate, sample.x)) - values(sample.truth))
            scores[f"fidelity_{sample.name}"] = float(np.mean(gap <= self._tolerance))
            scores[f"tv_{sample.name}"] = float("nan")
            scores[f"error_{sample.name}"] = float(gap.mean())
            if sample.name == "test":
                scores["accuracy"] = float("nan")
        return scores


def values(reply: Reply) -> Array:
    """(n,) the answers of a regression model; NaN where it gave none."""
    if reply.outputs is None:
        return np.full(len(reply), np.nan)
    return reply.outputs[:, 0]


def fidelity(labels: Labels, truth: Labels) -> float:
    """Share of equal labels, in [0, 1]."""
    return float(np.mean(labels == truth))


def total_variation(outputs: Array | None, truth: Array | None) -> float:
    """Mean over the rows of half the L1 distance between two distributions, in [0, 1]."""
    if outputs is None or truth is None:
        return float("nan")
    return float(0.5 * np.abs(outputs - truth).sum(axis=1).mean())


def expected_calibration_error(outputs: Array, y: Labels, bins: int = 15) -> float:
    """Gap between confidence and accuracy, averaged over equal bins of the top confidence.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    confidence, hit = outputs.max(axis=1), outputs.argmax(axis=1) == y
    place = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gap = np.bincount(place, weights=hit - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(y))


def in_chunks(surrogate: Surrogate, x: Array) -> Reply:
    """Predict in pieces of a size that keeps memory flat for kernel surrogates."""
    parts = [surrogate.predict(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
    outputs = [p.outputs for p in parts if p.outputs is not None]
    return Reply(
        np.concatenate([p.labels for p in parts]),
        np.concatenate(outputs) if len(outputs) == len(parts) else None,
    )

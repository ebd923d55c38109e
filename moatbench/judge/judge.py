"""What a stolen model is worth: the judge, who scores surrogates off the meter."""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np

from moatbench.client import Surrogate
from moatbench.judge.checked import checked
from moatbench.judge.customers.groups import groups
from moatbench.judge.customers.shift import far_cluster
from moatbench.judge.floor import at_least, best_constant, gains, trained_on_pool
from moatbench.judge.recovered import parameter_error
from moatbench.judge.sample import Heard, Sample, heard, sample_of, tested
from moatbench.judge.transfer import Transfer
from moatbench.judge.watermark import Owner
from moatbench.record.columns import POOL, POOL_LABELS
from moatbench.reply import Reply
from moatbench.types import Array, Generator, Labels, Mask, Rows
from moatbench.victim import Victim

UNIFORM_POINTS = 10_000  # no disagreement in 10,000 bounds the rate below 3e-4 at 95 % confidence
SAME_VALUE = 1e-6  # of the range of a regression victim's values


class Assessment(NamedTuple):
    """What a surrogate is worth: scores by name, and hits (n,), the test rows it has right.

    Right is what the undefended victim answers, not what is true.
    """

    scores: dict[str, float]
    hits: Mask


class Judge:
    """Compares surrogates with the undefended victim on points that no attack has seen.

    Fidelity is the share of points on which both give the same label (1 - R_test on the test data,
    1 - R_unif on uniform valid inputs, Tramèr et al. 2016, sec. 2); `cube`, where the space has
    one-hot groups, is uniform on the raw box, groups ignored, as in that paper's released code.
    `foreign`, where it is declared, is on rows of other data that nobody trained on or owns: in
    high dimensions uniform inputs are of one class nearly all, and say little.

    For a regression victim, fidelity is the share of points whose values are equal within
    `SAME_VALUE` of the range of the victim's, and `error_<sample>` is the mean absolute difference,
    in units of the target; there is neither total variation nor accuracy (both NaN).

    `gain_<sample>` is the fidelity above the `floor`, what an attacker reaches without the API.

    Args:
        victim: whose surrogates are to be judged.
        rng: draws the points.
        side_labels: whether the attacker is taken to know the true labels of its pool: the floor
            is then what it can train on those.
        subgroup: of customers, by name: (n,) the test rows that are theirs.
        transfer: budget of adversarial examples, as `Transfer` tells; None makes none.

    Attributes:
        baselines: scores of attackers without the API, by name; the floor is one of them.
        floor: its name.
        groups: of customers: those of each class, and those in and out of a subgroup, (n,) each.
    """

    def __init__(
        self,
        victim: Victim,
        rng: Generator,
        *,
        side_labels: bool = False,
        subgroup: Mapping[str, Mask] | None = None,
        transfer: float | None = None,
    ) -> None:
        self._victim = victim
        *streams, trained, made = rng.spawn(4)
        self._transfer = None if transfer is None else Transfer(victim, transfer, made)
        self._far_stream, self.owner = streams[0], Owner(victim, streams[1])
        space, foreign = victim.space, victim.shares.foreign
        given = len(victim.shares.x_test) + (0 if foreign is None else len(foreign))
        n = uniform_points(victim.judged, given)
        # Where each row costs, all runs are judged on the same
        rng = rng if n == UNIFORM_POINTS else np.random.default_rng(n)
        points = {"uniform": space.sample(n, rng)}
        if space.groups:
            points["cube"] = space.sample_cube(n, rng)
        if foreign is not None:
            points["foreign"] = foreign
        drawn = [sample_of(victim, name, x) for name, x in points.items()]
        self.samples = (tested(victim), *drawn)
        self._y = victim.shares.y_test
        self._regression = len(victim.classes) == 1
        accuracy = np.mean(self.samples[0].truth.labels == self._y)
        self.victim_accuracy = float("nan") if self._regression else float(accuracy)
        truths = [values(sample.truth) for sample in self.samples]
        self._tolerance = SAME_VALUE * float(np.ptp(np.concatenate(truths)))

        self.baselines = {POOL: self._constant()}
        if side_labels:
            known = self._measure(self._ask(trained_on_pool(victim, trained)))
            self.baselines[POOL_LABELS] = at_least(known, self.baselines[POOL])
        self.floor = POOL_LABELS if side_labels else POOL
        self.groups = groups(victim, subgroup or {})

    def redrawn(self, rng: Generator) -> "Judge":
        """Return a judge who differs in the drawn points alone; test rows and floor are these."""
        other, space = copy(self), self._victim.space
        draws = {"uniform": space.sample, "cube": space.sample_cube}
        points = {s.name: draws[s.name](len(s.x), rng) for s in self.samples if s.name in draws}
        other.samples = tuple(
            sample_of(self._victim, s.name, points[s.name]) if s.name in points else s
            for s in self.samples
        )
        return other

    @cached_property
    def far_rows(self) -> Rows:
        """The rows of the test data that shifted customers ask."""
        return far_cluster(self._victim.shares, self._far_stream)

    def score(self, surrogate: Surrogate) -> dict[str, float]:
        """Score on every sample: fidelity, gain, accuracy, total variation (NaN if no outputs)."""
        return self._scores(self._ask(surrogate))

    def assess(self, surrogate: Surrogate, told: tuple[Rows, Labels]) -> Assessment:
        """Score, and compare with what customers were told; each sample is asked once.

        `fidelity_defended` is the share of the answers that customers were told, on which the
        surrogate gives the same. The clean fidelity is what was stolen; this is how well the
        surrogate copies the API as it is deployed, lies included. NaN for values, and before
        anybody was answered.

        Args:
            surrogate: to be judged.
            told: rows of the test data, and the labels that they were told.
        """
        asked, (rows, labels) = self._ask(surrogate), told
        known = len(rows) and not self._regression
        reply = asked[0].reply
        defended = fidelity(reply.labels[rows], labels) if known else float("nan")
        scores = self._scores(asked) | {"fidelity_defended": defended}
        hits = self._hits(self.samples[0], reply)
        sure = reply.outputs is not None
        off = parameter_error(surrogate.parameters, self._victim, confidences=sure)
        if off is not None:
            scores["parameter_error"] = off
        if self._transfer is not None:
            scores |= self._transfer.scores(surrogate, hits)
        return Assessment(scores, hits)

    def shares_of(self, scores: Mapping[str, float]) -> dict[str, tuple[float, int]]:
        """Return the fidelity on each sample, as it is among scores, and of how many rows it is."""
        return {s.name: (scores[f"fidelity_{s.name}"], len(s.x)) for s in self.samples}

    def _constant(self) -> dict[str, float]:
        """Score the best constant answer on each sample."""
        if self._regression:  # values within the tolerance of each other fall into few bins
            width = 2 * self._tolerance or 1.0
            answers = [np.round(values(sample.truth) / width) for sample in self.samples]
        else:
            answers = [sample.truth.labels.astype(np.float64) for sample in self.samples]
        named = zip(self.samples, answers, strict=True)
        return {f"fidelity_{sample.name}": best_constant(a) for sample, a in named}

    def _ask(self, surrogate: Surrogate) -> list[Heard]:
        surrogate = checked(surrogate)
        return [heard(surrogate, sample, self._victim) for sample in self.samples]

    def _scores(self, asked: Sequence[Heard]) -> dict[str, float]:
        scores = self._measure(asked)
        return scores | gains(scores, self.baselines[self.floor])

    def _measure(self, asked: Sequence[Heard]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for sample, (reply, variation) in zip(self.samples, asked, strict=True):
            name, truth = sample.name, sample.truth
            scores[f"fidelity_{name}"] = float(np.mean(self._hits(sample, reply)))
            if self._regression:
                scores[f"tv_{name}"] = float("nan")
                scores[f"error_{name}"] = float(np.abs(values(reply) - values(truth)).mean())
            else:
                scores[f"tv_{name}"] = variation
            if name == "test":
                accuracy = fidelity(reply.labels, self._y)
                scores["accuracy"] = float("nan") if self._regression else accuracy
        return scores

    def _hits(self, sample: Sample, reply: Reply) -> Mask:
        """(n,) on which rows the reply is the victim's: their mean is the fidelity."""
        if not self._regression:
            return np.asarray(reply.labels == sample.truth.labels)
        return np.asarray(np.abs(values(reply) - values(sample.truth)) <= self._tolerance)


def uniform_points(judged: int | None, tests: int) -> int:
    """Tell on how many uniform inputs surrogates are judged: fewer where each row costs."""
    return UNIFORM_POINTS if judged is None else min(UNIFORM_POINTS, max(1, judged - tests))


def values(reply: Reply) -> Array:
    """(n,) the answers of a regression model; NaN where it gave none."""
    if reply.outputs is None:
        return np.full(len(reply), np.nan)
    return reply.outputs[:, 0]


def fidelity(labels: Labels, truth: Labels) -> float:
    """Share of equal labels, in [0, 1]."""
    return float(np.mean(labels == truth))

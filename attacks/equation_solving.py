"""Solve for a model's parameters from the confidences that it answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moatbench.api import Answers, Card, PredictionAPI
from moatbench.attack import Attack, Needs, Purchases, Surrogate, ignorant
from moatbench.numerics.answers import decimals
from moatbench.numerics.edges import Edges
from moatbench.numerics.forward import ACTIVATIONS
from moatbench.numerics.kernel_reconstruction import KernelReconstruction, kernel_unmet
from moatbench.numerics.network_solver import probe_plan, probe_points
from moatbench.numerics.reconstruction import Reconstruction
from moatbench.types import Array, Generator, Rows


@dataclass(frozen=True)
class EquationSolving(Attack):
    """Turn each answer into equations in the unknown parameters, and solve them.

    Queries are uniform on the raw cube. The log-odds of exact answers are solved for the
    parameters: by least squares where they are linear (softmax), else by Levenberg-Marquardt.
    Rounded answers bound each probability; a budget that allows it goes into bisecting the edges
    where they step, which are exact again. Any others are soft labels to fit.

    Args:
        intervals: whether to use that rounded answers are bounds; false takes them for soft labels,
            as the paper does.

    Source: Tramèr et al. 2016, sec. 4.1 and 6.1.
    """

    intervals: bool

    aware: ClassVar[frozenset[str]] = frozenset({"rounding"})
    needs: ClassVar[Needs] = Needs(
        confidences=True,
        families=frozenset({"logistic", "softmax", "one_vs_rest", "mlp", "kernel_logistic"}),
        numeric=True,
    )

    def __post_init__(self) -> None:
        if not isinstance(self.intervals, bool):
            raise ValueError(
                f"equation_solving: intervals must be true or false, got {self.intervals!r}"
            )

    def unmet(self, card: Card, pool: Array) -> str:
        """Say why the attack does not apply: as its needs say, or an unknown architecture."""
        reason, network = super().unmet(card, pool), card.architecture
        if not reason and card.family == "kernel_logistic":
            return kernel_unmet(card)
        if reason or card.family != "mlp":
            return reason
        if isinstance(network.get("hidden"), int) and network.get("activation") in ACTIVATIONS:
            return ""
        return (
            f"needs one hidden layer, its units and activation ({', '.join(ACTIVATIONS)}) "
            f"published; the API tells {dict(network)}"
        )

    def run(self, api: PredictionAPI, pool: Array, rng: Generator) -> Iterator[Surrogate]:
        """Yield what all answers so far determine."""
        asking, fitting = rng.spawn(2)
        reconstruct: KernelReconstruction | Reconstruction = (
            KernelReconstruction(api.card, self.intervals, fitting)
            if api.card.family == "kernel_logistic"
            else Reconstruction(api.card, self.intervals, fitting)
        )
        survey = Survey(api, reconstruct, asking)
        for checkpoint in api.checkpoints:
            survey.extend(checkpoint)
            if len(survey.bought):
                yield reconstruct(survey.bought, survey.probes(), survey.edges)
            else:
                yield ignorant(api.card)


class Survey:
    """Uniform queries, and the answers to them so far.

    Where a small budget makes it pay, a network is also asked probes: points and their neighbours,
    whose answers tell gradients. Rounding hides those, so that they are left out where it shows.
    Rounded answers of simpler models are bisected instead, where a large budget makes it pay.
    """

    def __init__(
        self,
        api: PredictionAPI,
        reconstruct: Reconstruction | KernelReconstruction,
        rng: Generator,
    ) -> None:
        card, d = api.card, api.card.space.d
        self.bought = Purchases(card)
        self.edges: Edges | None = None
        self._api, self._rng = api, rng
        self._plan, self._turn = reconstruct.edges, reconstruct.turn(api.budget)
        self._asked: list[Rows] = [np.empty(0, np.intp)]
        self._first, count = 0, 0
        if card.family == "mlp":
            hidden, activation = card.architecture["hidden"], card.architecture["activation"]
            self._first, count = probe_plan(
                d, len(card.classes), hidden, activation, api.checkpoints
            )
        half = (card.space.high - card.space.low) / 2
        self._probes = card.space.low + half + half * probe_points(d, count, rng)

    def extend(self, checkpoint: int) -> None:
        """Ask until the checkpoint."""
        while (at := self._api.queries) < checkpoint:
            if at == self._first and decimals(self.bought.outputs) is not None:
                self._probes = self._probes[:0]
            if at == self._turn and at:
                self.edges = self._plan(self.bought, self._api.budget - at)
            if self.edges is not None and len(places := self.edges.open):
                self._bisect(self.edges, places[: checkpoint - at])
            else:
                self._ask(self._next(at, checkpoint))

    def _bisect(self, edges: Edges, places: Rows) -> None:
        """Ask for one more bit of each place."""
        answers = self._ask(edges.questions(places))
        outputs = np.full((len(places), len(self._api.card.classes)), np.nan)
        if answers.outputs is not None:
            outputs[answers.rows] = answers.outputs
        edges.learn(places, outputs)

    def _ask(self, x: Array) -> Answers:
        """Buy, and remember which queries were answered."""
        at = self._api.queries
        answers = self._api.query(x)
        self.bought.add(answers)
        self._asked.append(at + answers.rows)
        return answers

    def probes(self) -> list[Rows]:
        """Rows of the purchases that hold a point and all its neighbours, one array a point."""
        asked, (count, width, _) = np.concatenate(self._asked), self._probes.shape
        wanted = self._first + np.arange(count * width).reshape(count, width)
        return [np.searchsorted(asked, w) for w in wanted if np.isin(w, asked).all()]

    def _next(self, at: int, checkpoint: int) -> Array:
        """Return queries from number `at` on: uniform, the probes in their place, or uniform."""
        space = self._api.card.space
        done, probes = at - self._first, self._probes.reshape(-1, space.d)
        if done < 0:
            return space.sample_cube(min(checkpoint, self._first) - at, self._rng)
        if done < len(probes):
            return probes[done : done + checkpoint - at]
        end = min(checkpoint, self._turn) if at < self._turn else checkpoint
        return space.sample_cube(end - at, self._rng)

"""Solve for a model's parameters from the confidences that it answers."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Answers, Surrogate
from moatbench.defense import Defense
from moatbench.feature import OFF, ON
from moatbench.inverses.equations import FAMILIES, Found, StandingEquations
from moatbench.knobs import check_choice, check_flag
from moatbench.learners.published import PUBLISHED, UNPUBLISHED, ignorant, linear_odds, too_many
from moatbench.learners.purchases import Purchases
from moatbench.models.forward import ACTIVATIONS
from moatbench.solvers.edges import Edges
from moatbench.solvers.grids import grid_of
from moatbench.solvers.kernel_reconstruction import KernelReconstruction, kernel_unmet
from moatbench.solvers.network_solver import probe_plan, probes_in, uneven
from moatbench.solvers.noise_likelihood import LAWS
from moatbench.solvers.readings import decimals
from moatbench.solvers.reconstruction import Known, Reconstruction
from moatbench.strategies.believing import unless_labels_do
from moatbench.strategies.channel import unless_moved
from moatbench.strategies.refuting import Refuting
from moatbench.types import Array, Generator, Rows

NOISE = ("known", "ignored")
FIRST = 8  # queries for each edge of the only level that is known, before others are looked for
LATER = 1.25  # times as many queries, and answers that did not suffice to plan edges may


@dataclass(frozen=True)
class EquationSolving(Attack):
    """Turn each answer into equations in the unknown parameters, and solve them.

    Queries are uniform on the raw cube; of a rectified network's, every second one is a valid row.
    The log-odds of exact answers are solved for the parameters: by least squares where they are
    linear (softmax), else by Levenberg-Marquardt. Rounded answers bound each probability; later
    queries bisect the edges where they step, which are exact again. Noise of a known law leaves a
    likelihood to maximise, and most of the later queries to choose near the boundary. Any others
    are soft labels to fit. What is asked does not depend on the budget.

    The attacker knows the defense, but no secret of it: to what it rounds, and the law of its
    noise, where nothing else perturbs the answers. Of answers that a rule perturbs, those equations
    are solved that still stand, where one model explains more of them than it has unknowns; and
    where the labels told are the victim's, a fit to these is preferred that surely foretells more.

    Args:
        intervals: whether to use that rounded answers are bounds; false takes them for soft labels,
            as the paper does.
        noise: `known` (its law, where the defense has one) or `ignored` (noisy answers are soft
            labels).

    Source: Tramèr et al. 2016, sec. 4.1 and 6.1.
    """

    intervals: bool
    noise: str = "known"

    against: ClassVar[frozenset[str]] = frozenset({"noisy", "quantises", "truncates"})
    needs: ClassVar[Needs] = Needs(
        confidences=True,
        families=FAMILIES | {"mlp", "kernel_logistic"},
    )

    def __post_init__(self) -> None:
        check_flag("equation_solving: intervals", self.intervals)
        check_choice("equation_solving: noise", self.noise, NOISE)

    def unmet(self, target: Target) -> str:
        """Say why the attack does not apply: as its needs say, or an unknown architecture."""
        card = target.api.card
        reason = super().unmet(target) or too_many(PUBLISHED, card)
        network = card.architecture
        if not reason and card.family == "kernel_logistic":
            return kernel_unmet(card)
        if not reason and card.family == "linear_probe" and not linear_odds(card):
            return UNPUBLISHED
        if reason or card.family != "mlp":
            return reason
        if isinstance(network.get("hidden"), int) and network.get("activation") in ACTIVATIONS:
            return ""
        return (
            f"needs one hidden layer, its units and activation ({', '.join(ACTIVATIONS)}) "
            f"published; the API tells {dict(network)}"
        )

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Yield what all answers so far determine."""
        asking, fitting, judging = rng.spawn(3)
        api, known = target.api, self._known(target)
        reconstruct: KernelReconstruction | Reconstruction = (
            KernelReconstruction(api.card, self.intervals, fitting)
            if api.card.family == "kernel_logistic"
            else Reconstruction(api.card, self.intervals, fitting, known)
        )
        survey = Survey(api, reconstruct, asking)
        standing = StandingEquations(api.card, target.pool)
        for checkpoint in api.checkpoints:
            survey.extend(checkpoint)
            if len(survey.bought):
                solved = reconstruct(survey.bought, survey.probes(), survey.edges)
                if _perturbed(target):
                    solved = _seen_through(solved, standing, target, survey.bought, judging)
                yield solved
            else:
                yield ignorant(api.card)

    def _known(self, target: Target) -> Known:
        """Return the law of the noise and the steps of the answers, where all rows have them."""
        defense = target.known.defense
        known = Known() if defense is None else known_of(defense)
        return known if self.noise == "known" else known._replace(law=None)


def _perturbed(target: Target) -> bool:
    """Whether a rule is known to perturb the answers, and no noise."""
    traits = target.known.traits
    return traits is not None and "perturb" in traits.stages and "noisy" not in traits.kinds


def _seen_through(
    solved: Surrogate,
    standing: StandingEquations,
    target: Target,
    bought: Purchases,
    judging: Generator,
) -> Surrogate:
    """Return a solution that copies of the defense do not refute, or what serves better."""
    refuted = Refuting(target, bought, deepcopy(judging).spawn(1)[0])
    found, kept = None, target.known.keeps_labels
    if solved.parameters:
        if not refuted(solved.predict):
            return solved
        note = f"{solved.note}, and copies of the defense tell others of it"
        solved = replace(solved, parameters={}, note=note)
        found = Found(solved, False)  # the one model of all answers
    if not standing.applies:
        return solved
    found = found or standing(bought, refuted, kept)
    solved = found.surrogate if found is not None else solved
    if kept:
        return unless_labels_do(solved, target.api.card, bought, found is None, deepcopy(judging))
    if found is None or not found.sure:
        return unless_moved(solved, target, bought, deepcopy(judging))
    return solved


def known_of(defense: Defense) -> Known:
    """Return what a defense says of every answer; what singles out accounts says nothing.

    Noise is of use where it alone perturbs: what another layer does to it has no closed law.
    """
    layers = [layer.traits for layer in defense.layers.values()]
    perturbing = [traits for traits in layers if traits.stage == "perturb"]
    noise = perturbing[0].noise if len(perturbing) == 1 else None
    law = LAWS[noise.distribution](noise.sigma) if noise and noise.distribution in LAWS else None
    steps = defense.traits.answer_grid
    return Known(law, None if steps is None else grid_of(steps))


class Survey:
    """Uniform queries, and the answers to them so far.

    Where it saves queries, a network is also asked probes: points and their neighbours, whose
    answers tell gradients. Rounding and noise hide those, so that they are left out there. Rounded
    answers of simpler models are bisected instead; of noisy ones most are asked where a first fit
    is in doubt. Neither the checkpoints nor the budget change what is asked.
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
        self._reconstruct, self._turn = reconstruct, reconstruct.turn
        self._planned = self._turn  # when edges are planned: after the extremes
        self._asked: list[Rows] = [np.empty(0, np.intp)]
        layers = card.family in ("mlp", "linear_probe")
        self._rectified = layers and card.architecture["activation"] == "relu"
        self._chosen = np.empty((0, d))
        self._first, count = 0, 0
        # A code has no neighbours
        if card.family == "mlp" and not reconstruct.noisy and not card.space.coded.size:
            hidden, activation = card.architecture["hidden"], card.architecture["activation"]
            coarse, twice = map(len, uneven(card.space))
            k = len(card.classes)
            self._first, count = probe_plan(d, k, hidden, activation, coarse, twice)
        self._probes = probes_in(card.space, count, rng)

    def extend(self, checkpoint: int) -> None:
        """Ask until the checkpoint."""
        while (at := self._api.queries) < checkpoint:
            if at == self._first and decimals(self.bought.outputs) is not None:
                self._probes = self._probes[:0]
            if self._turn:
                self._prepare(at)
            if len(self._chosen):
                part, self._chosen = np.split(self._chosen, [checkpoint - at])
                self._ask(part)
            elif self.edges is not None and len(places := self.edges.open):
                self._bisect(self.edges, places[: self._until(at, checkpoint) - at])
            else:
                self._ask(self._next(at, checkpoint))

    def _prepare(self, at: int) -> None:
        """Choose what to ask from query number `at` on, whatever the checkpoints."""
        if at == self._turn and not self._reconstruct.foretold(self.bought):
            self._turn = self._planned = ceil(LATER * at)
        if at == self._turn:
            self._chosen = self._reconstruct.extremes(self.bought)
            self._planned = at + len(self._chosen)
        if at == self._planned:
            self._plan(at)
        if at >= self._turn and not len(self._chosen):
            self._chosen = self._reconstruct.questions(self.bought, at)

    def _plan(self, at: int) -> None:
        """Lay out edges; where all are of one level, look for others once these tell the way."""
        level = len(self._reconstruct.extremes(self.bought)) > 0
        if self.edges is not None and level:
            return
        edges = self._reconstruct.edges(self.bought)
        if edges is not None and level:
            self._turn = at + FIRST * len(edges.open)
        self.edges = edges or self.edges

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
            return self._uniform(at, min(checkpoint, self._first))
        if done < len(probes):
            return probes[done : done + checkpoint - at]
        return self._uniform(at, self._until(at, checkpoint))

    def _uniform(self, at: int, end: int) -> Array:
        """Return queries `at` to `end`: uniform, with every second one of rectified units valid.

        Halfway between all categories of all groups, a unit that some valid inputs switch on may be
        off at every point of the cube that is ever drawn: its weights would be in no equation.
        """
        space = self._api.card.space
        x = space.sample_cube(end - at, self._rng)
        if self._rectified:
            _choose(x[(at + 1) % 2 :: 2], space.groups)
        return x

    def _until(self, at: int, checkpoint: int) -> int:
        """Where to stop next: at the checkpoint, or earlier to prepare."""
        return min(checkpoint, self._turn) if at < self._turn else checkpoint


def _choose(x: Array, groups: Sequence[slice]) -> None:
    """Make one-hot rows of uniform ones, in place: each group's greatest column is its category."""
    for group in groups:
        chosen = x[:, group].argmax(axis=1)
        x[:, group] = OFF
        x[np.arange(len(x)), group.start + chosen] = ON

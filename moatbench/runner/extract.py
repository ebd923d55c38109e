"""One run: an attack on a defended victim, scored each time the meter passes a checkpoint."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

from moatbench.api import ADVERSARY, Deployment, MeteredAPI, PredictionAPI, Trail, valid_checkpoints
from moatbench.attack import Attack, Known, Target
from moatbench.client import Surrogate
from moatbench.compose.old_forms import refuse_old_form
from moatbench.defense import Defense, evidence_of
from moatbench.judge.checked import BrokenAttack
from moatbench.judge.honest import HonestTraffic
from moatbench.judge.judge import Judge
from moatbench.randomness import stream
from moatbench.record.columns import SHIFTED
from moatbench.runner.doubts import doubled
from moatbench.types import Array, Mask
from moatbench.victim import NotApplicable, Victim


@dataclass(frozen=True)
class Checkpoint:
    """One point of the curve.

    Args:
        queries: asked so far, answered or refused.
        refused: of those, how many got no answer.
        dollars: billed so far.
        waited: virtual seconds that the API made the attacker wait.
        seconds: of the attacker's computing and querying; the judge's time is not counted.
        converged: whether the surrogate's fit ran to its tolerance.
        first_alarm: queries of an attacker's account at its first alarm; NaN if there was none.
        metrics: what the judge measured, by name, and what honest customers saw (`honest_*`,
            `shifted_*` where their inputs are unlike most).
        parameters: what was recovered of the victim's parameters.
        note: how the surrogate was come by.
        hits: (n,) on which rows of the test data the surrogate does as the victim.
        begun: whether anything was fitted yet.
        doubled: at the budget, of a fit that says it converged: which held-out purchases it has
            right, as it is and after twice the steps; None where that cannot be seen.
    """

    queries: int
    refused: int
    dollars: float
    waited: float
    seconds: float
    converged: bool
    first_alarm: float
    metrics: Mapping[str, float]
    parameters: Mapping[str, Array]
    note: str
    hits: Mask
    begun: bool = True
    doubled: tuple[Mask, Mask] | None = None

    def row(self) -> dict[str, float | str]:
        """Return the point as one flat row; `seconds` alone differs from run to run."""
        return {
            "queries": self.queries,
            "refused": self.refused,
            "dollars": self.dollars,
            "waited": self.waited,
            "seconds": self.seconds,
            **self.metrics,
            "first_alarm": self.first_alarm,
            "converged": int(self.converged),
            "begun": int(self.begun),
            "note": self.note,
        }


@dataclass(frozen=True)
class Ended:
    """What is known once the budget is spent.

    Args:
        trail: the deployment that was attacked, and who asked it what.
        accounts: the attacker's.
        seconds_added: to an honest query, by the clock.
        seconds_waited: by an honest query, virtual.
    """

    trail: Trail
    accounts: frozenset[str]
    seconds_added: float
    seconds_waited: float


class Extraction:
    """An attack on a freshly deployed defense; iterate over it for the curve.

    Args:
        victim: the model.
        defense: what stands before it; a copy is deployed when the iteration starts.
        attack: what steals it.
        checkpoints: cumulative query counts; the last is the budget.
        seed: spawns the streams of defense, attack, judge and honest customers.
        price: US dollars an answered query.
        judge: scores the surrogates; None builds one from `seed`.

    Raises:
        TypeError: a part is written as before there were traits and targets.
        NotApplicable: when the iteration starts, before any query is spent.
        BrokenAttack: the attack yielded off a checkpoint, ended before the last, or yielded what is
            no model.
    """

    def __init__(
        self,
        victim: Victim,
        defense: Defense,
        attack: Attack,
        checkpoints: Sequence[int],
        seed: int = 0,
        price: float = 0.0,
        judge: Judge | None = None,
    ) -> None:
        refuse_old_form(defense)
        refuse_old_form(attack)
        self.victim, self.defense, self.attack = victim, defense, attack
        self.checkpoints, self.seed, self.price = valid_checkpoints(checkpoints), seed, price
        self.judge = judge or Judge(victim, stream(seed, "judge"))

    def __iter__(self) -> Iterator[Checkpoint]:
        return (event for event in self.events() if isinstance(event, Checkpoint))

    def events(self) -> Iterator[Checkpoint | Ended]:
        """Yield the curve point by point; at last, what is known once it is drawn."""
        # Only a copy is ever deployed: what an attack is told must hold no secrets of this run, nor
        # of an earlier one on the same seed.
        known = Known(deepcopy(self.defense), self.victim if self.attack.oracle else None)
        trail = Trail(self.victim, deepcopy(self.defense), stream(self.seed, "defense"))
        budget, clock = self.checkpoints[-1], _Clock()
        honest = HonestTraffic(trail, budget, stream(self.seed, "honest"))
        shifted = HonestTraffic.shifted(
            trail, budget, stream(self.seed, "shifted"), self.judge.far_rows
        )

        def listen(queries: int) -> None:
            with clock.adding(-1):  # within a span that the attacker pays for
                honest.keep_pace(queries)
                shifted.keep_pace(queries)

        api = MeteredAPI(trail, self.checkpoints, price=self.price, listener=listen)
        target = Target(api, self.victim.shares.pool, known)
        if reason := self.attack.unmet(target):
            raise NotApplicable(reason)
        yield from self._points(target, api, trail, (honest, shifted), clock)
        accounts = frozenset(api.per_account)
        yield Ended(trail, accounts, honest.seconds_added(), honest.seconds_waited())

    def _points(
        self,
        target: Target,
        api: PredictionAPI,
        deployment: Deployment,
        customers: tuple[HonestTraffic, HonestTraffic],
        clock: "_Clock",
    ) -> Iterator[Checkpoint]:
        surrogates = self.attack.run(target, stream(self.seed, "attack"))
        for checkpoint in api.checkpoints:
            with clock.adding():
                surrogate = next(surrogates, None)
            if surrogate is None or api.queries != checkpoint:
                did = "ended" if surrogate is None else "yielded"
                raise BrokenAttack(
                    f"{type(self.attack).__name__} {did} at {api.queries} queries; it must yield "
                    f"one surrogate at each checkpoint, and the next is {checkpoint}"
                )
            raised = evidence_of(deployment.defense).alarms
            alarms = [q for account, q in raised.items() if account in api.per_account]
            found = self.judge.assess(surrogate, customers[0].told)
            yield Checkpoint(
                queries=api.queries,
                refused=api.refused,
                dollars=api.dollars,
                waited=api.waited,
                seconds=clock.seconds,
                converged=surrogate.converged,
                first_alarm=float(min(alarms, default=float("nan"))),
                metrics=found.scores | self._owned(surrogate, deployment, api) | _felt(*customers),
                parameters=surrogate.parameters,
                note=surrogate.note,
                hits=found.hits,
                begun=surrogate.begun,
                doubled=doubled(surrogate) if checkpoint == api.checkpoints[-1] else None,
            )

    def _owned(
        self, surrogate: Surrogate, deployment: Deployment, api: PredictionAPI
    ) -> dict[str, float]:
        """Let the owner of the model look for its marks."""
        marks = evidence_of(deployment.defense).marks
        marks = marks.told_to(api.per_account) if marks is not None else None
        return self.judge.owner.verify(surrogate, marks)


def extract(
    victim: Victim,
    defense: Defense,
    attack: Attack,
    *,
    checkpoints: Sequence[int],
    seed: int = 0,
    price: float = 0.0,
) -> Iterator[Checkpoint]:
    """Run the attack once; yield the curve point by point, as the budget is spent."""
    return iter(Extraction(victim, defense, attack, checkpoints, seed, price))


def _felt(honest: HonestTraffic, shifted: HonestTraffic) -> dict[str, float]:
    """Ask the customers; of those whose inputs are unlike most, only the measures that are kept."""
    unlike = shifted.report()
    return honest.report() | {f"shifted_{name}": unlike[f"shifted_{name}"] for name in SHIFTED}


class _Clock:
    """Adds up the attacker's seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def adding(self, sign: int = 1) -> Iterator[None]:
        """Count what is done meanwhile; with -1, take it out again."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += sign * (time.perf_counter() - start)


__all__ = [
    "ADVERSARY",
    "BrokenAttack",
    "Checkpoint",
    "Ended",
    "Extraction",
    "NotApplicable",
    "extract",
]

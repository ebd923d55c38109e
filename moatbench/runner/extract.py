"""One run: an attack on a defended victim, scored each time the meter passes a checkpoint."""

import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from moatbench.api import ADVERSARY, Deployment, PredictionAPI, Trail, checked
from moatbench.attack import Attack, Known, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense, evidence_of
from moatbench.judge.honest import HonestTraffic
from moatbench.judge.judge import Judge
from moatbench.randomness import stream
from moatbench.record.columns import SHIFTED
from moatbench.types import Array, Mask
from moatbench.victim import NotApplicable, Victim


class BrokenAttack(RuntimeError):
    """An attack did not keep its side of the contract."""


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
            "note": self.note,
        }


@dataclass
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
        NotApplicable: when the iteration starts, before any query is spent.
        BrokenAttack: the attack yielded off a checkpoint, or ended before the last.
    """

    victim: Victim
    defense: Defense
    attack: Attack
    checkpoints: Sequence[int]
    seed: int = 0
    price: float = 0.0
    judge: Judge | None = None

    def __post_init__(self) -> None:
        self.checkpoints = checked(self.checkpoints)
        self.judge = self.judge or Judge(self.victim, stream(self.seed, "judge"))
        self.seconds_added = float("nan")  # per honest query, once the run is over
        self.seconds_waited = float("nan")
        self.trail: Trail | None = None  # who asked what, once the run has begun
        self.accounts: frozenset[str] = frozenset()  # the attacker's, once the run is over

    def __iter__(self) -> Iterator[Checkpoint]:
        # Only a copy is ever deployed: what an attack is told must hold no secrets of this run, nor
        # of an earlier one on the same seed.
        known = Known(deepcopy(self.defense), self.victim if self.attack.oracle else None)
        deployment = Trail(self.victim, deepcopy(self.defense), stream(self.seed, "defense"))
        self.trail = deployment
        budget, clock = self.checkpoints[-1], _Clock()
        honest = HonestTraffic(deployment, budget, stream(self.seed, "honest"))
        assert self.judge is not None
        shifted = HonestTraffic.shifted(
            deployment, budget, stream(self.seed, "shifted"), self.judge.far_rows
        )

        def listen(queries: int) -> None:
            with clock.stopped():
                honest.keep_pace(queries)
                shifted.keep_pace(queries)

        api = PredictionAPI(deployment, self.checkpoints, price=self.price, listener=listen)
        target = Target(api, self.victim.shares.pool, known)
        if reason := self.attack.unmet(target):
            raise NotApplicable(reason)
        yield from self._points(target, api, deployment, (honest, shifted), clock)
        self.seconds_added, self.seconds_waited = honest.seconds_added(), honest.seconds_waited()
        self.accounts = frozenset(api.per_account)

    def _points(
        self,
        target: Target,
        api: PredictionAPI,
        deployment: Deployment,
        customers: tuple[HonestTraffic, HonestTraffic],
        clock: "_Clock",
    ) -> Iterator[Checkpoint]:
        assert self.judge is not None
        surrogates = self.attack.run(target, stream(self.seed, "attack"))
        for checkpoint in api.checkpoints:
            with clock.running():
                surrogate = next(surrogates, None)
            if surrogate is None or api.queries != checkpoint:
                did = "ended" if surrogate is None else "yielded"
                raise BrokenAttack(
                    f"{type(self.attack).__name__} {did} at {api.queries} queries; it must yield "
                    f"one surrogate at each checkpoint, and the next is {checkpoint}"
                )
            raised = evidence_of(deployment.defense).alarms
            alarms = [q for account, q in raised.items() if account in api.per_account]
            yield Checkpoint(
                queries=api.queries,
                refused=api.refused,
                dollars=api.dollars,
                waited=api.waited,
                seconds=clock.seconds,
                converged=surrogate.converged,
                first_alarm=float(min(alarms, default=float("nan"))),
                metrics=self._measured(surrogate, deployment, api, customers),
                parameters=surrogate.parameters,
                note=surrogate.note,
                hits=self.judge.hits(surrogate),
            )

    def _measured(
        self,
        surrogate: Surrogate,
        deployment: Deployment,
        api: PredictionAPI,
        customers: tuple[HonestTraffic, HonestTraffic],
    ) -> dict[str, float]:
        """Ask the judge, the owner of the model, and the customers."""
        assert self.judge is not None
        honest, shifted = customers
        marks = evidence_of(deployment.defense).marks
        marks = marks.told_to(api.per_account) if marks is not None else None
        felt = shifted.report()
        return {
            **self.judge.score(surrogate),
            "fidelity_defended": self.judge.defended_fidelity(surrogate, honest.told),
            **self.judge.owner.verify(surrogate, marks),
            **honest.report(),
            **{f"shifted_{name}": felt[f"shifted_{name}"] for name in SHIFTED},
        }


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


class _Clock:
    """Adds up the attacker's seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def running(self) -> "_Span":
        return _Span(self, +1.0)

    def stopped(self) -> "_Span":
        """Take out a span that lies within a running one."""
        return _Span(self, -1.0)


class _Span:
    def __init__(self, clock: _Clock, sign: float) -> None:
        self._clock, self._sign = clock, sign

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._clock.seconds += self._sign * (time.perf_counter() - self._start)


__all__ = [
    "ADVERSARY",
    "BrokenAttack",
    "Checkpoint",
    "Extraction",
    "NotApplicable",
    "extract",
]

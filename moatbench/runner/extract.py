"""One run: an attack on a defended victim, scored each time the meter passes a checkpoint."""

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from moatbench.api import ADVERSARY, MeteredAPI, PredictionAPI, valid_checkpoints
from moatbench.attack import Attack, Known, Target
from moatbench.client import Surrogate
from moatbench.compose.old_forms import refuse_old_form
from moatbench.compose.origin import ours
from moatbench.defense import Defense, evidence_of
from moatbench.judge.accounts import Accounts
from moatbench.judge.honest import ACCOUNTS, SHIFTED_ACCOUNTS, HonestTraffic
from moatbench.judge.judge import Judge
from moatbench.judge.trail import Trail
from moatbench.randomness import stream
from moatbench.record.columns import SHIFTED
from moatbench.types import Array, Generator, Mask
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


@dataclass(frozen=True)
class Ended:
    """What is known once the budget is spent.

    Args:
        trail: the deployment that was attacked, and who asked it what.
        accounts: the attacker's, as the defense met them.
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
        BrokenAttack: the attack yielded off a checkpoint, or ended before the last.
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
        trail = Trail(
            self.victim,
            deepcopy(self.defense),
            stream_of(self.defense, self.seed, "defense"),
            singly=not ours(self.defense),
        )
        accounts, clock = Accounts.of(self.seed), _Clock()
        customers = honest, shifted = self._customers(trail, accounts)

        def listen(queries: int) -> None:
            with clock.adding(-1):  # within a span that the attacker pays for
                honest.keep_pace(queries)
                shifted.keep_pace(queries)

        api = MeteredAPI(
            trail,
            self.checkpoints,
            price=self.price,
            listener=listen,
            token=accounts.tokens("attacker"),
        )
        target = Target(api, _own_copy(self.victim.shares.pool), known)
        if reason := self.attack.unmet(target):
            raise NotApplicable(reason)
        self._come_early(honest, shifted)
        yield from self._points(target, api, trail, customers, clock)
        thieves = frozenset(_thieves(trail, customers))
        yield Ended(trail, thieves, honest.seconds_added(), honest.seconds_waited())

    def _customers(self, trail: Trail, accounts: Accounts) -> tuple[HonestTraffic, HonestTraffic]:
        """Return those who ask all of the test data, and those whose inputs are unlike most."""
        budget, token = self.checkpoints[-1], accounts.tokens("customer")
        far = self.judge.far_rows
        return (
            HonestTraffic(trail, budget, stream(self.seed, "honest"), token=token),
            HonestTraffic.shifted(trail, budget, stream(self.seed, "shifted"), far, token),
        )

    def _come_early(self, honest: HonestTraffic, shifted: HonestTraffic) -> None:
        """Let so many customers ask before the attack that its place among all is a random one."""
        everybody = ACCOUNTS + SHIFTED_ACCOUNTS + 1
        order = stream(self.seed, "arrivals").permutation(everybody)
        before = order[: int(np.argmax(order == everybody - 1))]
        honest.come_early(int((before < ACCOUNTS).sum()))
        shifted.come_early(int((before >= ACCOUNTS).sum()))

    def _points(
        self,
        target: Target,
        api: PredictionAPI,
        trail: Trail,
        customers: tuple[HonestTraffic, HonestTraffic],
        clock: "_Clock",
    ) -> Iterator[Checkpoint]:
        surrogates = self.attack.run(target, stream_of(self.attack, self.seed, "attack"))
        for checkpoint in api.checkpoints:
            with clock.adding():
                surrogate = next(surrogates, None)
            if surrogate is None or api.queries != checkpoint:
                did = "ended" if surrogate is None else "yielded"
                raise BrokenAttack(
                    f"{type(self.attack).__name__} {did} at {api.queries} queries; it must yield "
                    f"one surrogate at each checkpoint, and the next is {checkpoint}"
                )
            thieves = _thieves(trail, customers)
            if (answered := sum(thieves.values())) != api.queries:
                raise BrokenAttack(
                    f"{type(self.attack).__name__} must leave the meter alone, got {api.queries} "
                    f"queries on it where {answered} were asked; ask with api.query alone"
                )
            raised = evidence_of(trail.defense).alarms
            alarms = [q for account, q in raised.items() if account in thieves]
            found = self.judge.assess(surrogate, customers[0].told)
            yield Checkpoint(
                queries=api.queries,
                refused=api.refused,
                dollars=api.dollars,
                waited=api.waited,
                seconds=clock.seconds,
                converged=surrogate.converged,
                first_alarm=float(min(alarms, default=float("nan"))),
                metrics=found.scores | self._owned(surrogate, trail, thieves) | _felt(*customers),
                parameters=surrogate.parameters,
                note=surrogate.note,
                hits=found.hits,
            )

    def _owned(
        self, surrogate: Surrogate, trail: Trail, thieves: Collection[str]
    ) -> dict[str, float]:
        """Let the owner of the model look for its marks."""
        marks = evidence_of(trail.defense).marks
        marks = marks.told_to(thieves) if marks is not None else None
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


def stream_of(part: Attack | Defense, seed: int, name: str) -> Generator:
    """Return the stream of a part; a stranger's is one that does not give the run's seed away.

    NumPy's generators tell what they were seeded with (`rng.bit_generator.seed_seq`).
    """
    if ours(part):
        return stream(seed, name)
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), person=b"a stranger's", digest_size=32)
    return np.random.default_rng(int.from_bytes(digest.digest(), "big"))


def _own_copy(pool: Array) -> Array:
    """Copy the pool for one attack, which learns at once if it writes to it."""
    pool = pool.copy()
    pool.setflags(write=False)
    return pool


def _thieves(trail: Trail, customers: Sequence[HonestTraffic]) -> dict[str, int]:
    """Count the queries of each account that is no customer's, whatever the meter says."""
    known = {token for some in customers for token in some.tokens}
    asked: dict[str, int] = {}
    for account, x in trail.asked:
        if account not in known and len(x):
            asked[account] = asked.get(account, 0) + len(x)
    return asked


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

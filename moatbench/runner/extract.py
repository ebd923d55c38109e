"""One run: an attack on a defended victim, scored each time the meter passes a checkpoint."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

from moatbench.api import ADVERSARY, MeteredAPI, PredictionAPI, valid_checkpoints
from moatbench.attack import Attack, Known, Target
from moatbench.compose.origin import ours
from moatbench.compose.words.old_forms import refuse_old_form
from moatbench.defense import Defense, evidence_of
from moatbench.isolation.held import Held, copied
from moatbench.isolation.process import LIMIT
from moatbench.judge.accounts import Accounts
from moatbench.judge.checked import BrokenAttack, checked
from moatbench.judge.given import check_alarms
from moatbench.judge.judge import Judge
from moatbench.judge.purchases import judged_and_bought
from moatbench.judge.trail import Trail
from moatbench.knobs import check_number
from moatbench.randomness import stream
from moatbench.record.columns import SHIFTED
from moatbench.record.flag import BOUGHT, BOUND, CHANGED, INVALID, UNISOLATED, Flag
from moatbench.remote.client import Stopped
from moatbench.runner.checks.afresh import difference
from moatbench.runner.checks.doubts import doubled
from moatbench.runner.clients import Customers, own_copy
from moatbench.runner.clock import Clock
from moatbench.runner.playing import Play, started
from moatbench.runner.points import Checkpoint, Ended, Reached
from moatbench.runner.secret import NONE, hidden, is_apart, secret_for, stream_of
from moatbench.victim import NotApplicable, Victim


class Extraction:
    """An attack on a freshly deployed defense; iterate over it for the curve.

    What our own attacks yield is judged there and then. What others' attacks yield is held, and
    judged after the last purchase, each time on points of its own: rows that were judged are of no
    use to buy. What an attack reached before it broke is judged all the same.

    Args:
        victim: the model.
        defense: what stands before it; a copy is deployed when the iteration starts.
        attack: what steals it.
        checkpoints: cumulative query counts; the last is the budget.
        seed: spawns the streams of defense, attack, judge and honest customers.
        price: US dollars an answered query.
        judge: scores the surrogates; None builds one from `seed`, or from the secret.
        isolation: `auto` runs an attack that is not ours in a process of its own, `process` any,
            `none` all in this one.
        secret: hexadecimal, in place of the seed for all that an attack must not know; None is none
            for an attack in this process, and a fresh one for another.
        limit: seconds that an isolated attack may take from one checkpoint to the next.

    Attributes:
        secret: what was given or drawn: given again, it brings the same bits.

    Raises:
        TypeError: a part is written as before there were traits and targets.
        NotApplicable: when the iteration starts, before any query is spent.
        NotIsolatable: likewise, where `process` is told, and the attack cannot be sent to one.
        BrokenAttack: the attack yielded off a checkpoint, ended before the last, or yielded what is
            no model.
        AttackDied: it, or a surrogate of it, failed in a process of its own.
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
        *,
        isolation: str = NONE,
        secret: str | None = None,
        limit: float = LIMIT,
    ) -> None:
        refuse_old_form(defense)
        refuse_old_form(attack)
        check_number("price", price, 0)
        self.victim, self.defense, self.attack = victim, defense, attack
        self.checkpoints, self.seed, self.price = valid_checkpoints(checkpoints), seed, price
        self.isolation, self.limit = isolation, limit
        self.secret = secret_for([attack], isolation, secret)
        self._hidden = hidden(seed, self.secret)
        self.judge = judge or Judge(victim, stream(self._hidden, "judge"))

    def __iter__(self) -> Iterator[Checkpoint]:
        for event in self.events():
            if isinstance(event, Checkpoint):
                yield event
            elif isinstance(event, Flag) and event.grade == INVALID:
                warnings.warn(event.text, stacklevel=2)

    def events(self) -> Iterator[Checkpoint | Flag | Ended]:
        """Yield the curve point by point, and flags; at last, what is known once it is drawn."""
        # Only a copy is ever deployed: what an attack is told must hold no secrets of this run, nor
        # of an earlier one on the same seed.
        known = Known(deepcopy(self.defense), self.victim if self.attack.oracle else None)
        trail = self._trail()
        customers = Customers(trail, self.checkpoints[-1], self._hidden, self.judge.far_rows)
        clock = Clock()

        def listen(queries: int) -> None:
            with clock.adding(-1):  # within a span that the attacker pays for
                customers.keep_pace(queries)

        token = Accounts.of(self._hidden).tokens("attacker")
        api = MeteredAPI(trail, self.checkpoints, price=self.price, listener=listen, token=token)
        target = Target(api, own_copy(self.victim.shares.pool), known)
        play = started(self.attack, target, self.seed, self.secret, self.isolation, self.limit)
        try:
            if play.unmet:
                raise NotApplicable(play.unmet)
            customers.come_early()
            steps = self._steps(play, api, trail, customers, clock)
            yield from (
                self._at_once(steps, api)
                if play.trusted
                else self._at_the_end(steps, play, api, trail, customers)
            )
        finally:
            play.close()
        thieves, honest = frozenset(customers.thieves()), customers.honest
        harm = honest.by_group(self.judge.groups)
        yield Ended(trail, thieves, honest.seconds_added(), honest.seconds_waited(), harm)

    def afresh(self, attacked: Trail) -> str:
        """Say how a fresh deployment differs from one that was attacked, as `difference` tells."""
        return "" if ours(self.defense) else difference(attacked, self._trail())

    def _trail(self) -> Trail:
        """Deploy a copy of the defense; what a stranger buys is kept, to be compared."""
        defense = self.defense
        return Trail(
            self.victim,
            deepcopy(defense),
            stream_of(defense, self._hidden, "defense"),
            singly=not ours(defense),
            keeps=not ours(self.attack) or is_apart(self.attack, self.isolation),
        )

    def _steps(
        self,
        play: Play,
        api: PredictionAPI,
        trail: Trail,
        customers: Customers,
        clock: Clock,
    ) -> Iterator[Reached]:
        """Let the attack go on to each checkpoint, and take down what is so there."""
        surrogates = play.surrogates()
        for checkpoint in api.checkpoints:
            with clock.adding():
                surrogate = next(surrogates, None)
            if surrogate is None or api.queries != checkpoint:
                did = "ended" if surrogate is None else "yielded"
                raise BrokenAttack(
                    f"{type(self.attack).__name__} {did} at {api.queries} queries; it must yield "
                    f"one surrogate at each checkpoint, and the next is {checkpoint}"
                )
            thieves = customers.thieves()
            if (answered := sum(thieves.values())) != api.queries:
                raise BrokenAttack(
                    f"{type(self.attack).__name__} must leave the meter alone: it tells "
                    f"{api.queries} queries where {answered} were asked; ask with api.query alone"
                )
            surrogate, found = checked(surrogate), evidence_of(trail.defense)
            check_alarms(found.alarms, customers.asked())
            alarms = [q for account, q in found.alarms.items() if account in thieves]
            point = partial(
                Checkpoint,
                queries=api.queries,
                refused=api.refused,
                dollars=api.dollars,
                waited=api.waited,
                seconds=clock.seconds,
                converged=surrogate.converged,
                first_alarm=float(min(alarms, default=float("nan"))),
                parameters=surrogate.parameters,
                note=surrogate.note,
                begun=surrogate.begun,
            )
            marks = found.marks.told_to(thieves) if found.marks is not None else None
            told, felt = customers.honest.told, _felt(customers)
            yield Reached(point, told, felt, marks, surrogate, checkpoint)

    def _at_once(self, steps: Iterator[Reached], api: PredictionAPI) -> Iterator[Checkpoint]:
        """Judge each surrogate as it is yielded."""
        for reached in steps:
            with self._unasked(api):
                point = self._judged(reached, self.judge)
            yield point

    def _at_the_end(
        self,
        steps: Iterator[Reached],
        play: Play,
        api: PredictionAPI,
        trail: Trail,
        customers: Customers,
    ) -> Iterator[Checkpoint | Flag]:
        """Hold the surrogates; judge them after the last purchase, and what was bought."""
        held: list[tuple[Reached, Held]] = []
        judges: list[Judge] = []
        broken: Exception | None = None
        try:
            for place, reached in enumerate(steps):
                kept = reached.surrogate if play.apart else copied(reached.surrogate, api)
                rows = stream(self._hidden, f"probes/{place}")
                with self._unasked(api):
                    one = Held.of(kept, self.victim, rows)
                    held.append((reached, one.counted(rows) if play.apart else one))
        except Exception as error:  # an attack may be anybody's code; what it reached stands
            broken = error
        play.end()
        if play.doubt and held:
            yield Flag(BOUND, play.doubt, UNISOLATED)
        try:
            for place, (reached, one) in enumerate(held):
                judges.append(self._redrawn(place))
                yield from self._judged_late(reached, one, judges[-1], api)
        except Exception as error:
            broken = broken or error
        thieves = customers.thieves()
        bought = [x for account, x in trail.asked if account in thieves]
        control = stream(self._hidden, "purchases")
        for line in judged_and_bought(self.victim, judges, bought, control):
            yield Flag(INVALID, line, BOUGHT)
        if broken is not None:
            raise broken

    def _judged_late(
        self, reached: Reached, one: Held, judge: Judge, api: PredictionAPI
    ) -> Iterator[Checkpoint | Flag]:
        """Judge what was held; say so where it is no longer what was yielded."""
        with self._unasked(api):
            changed = one.has_changed()
        if changed:
            yield self._changed(reached, "answered the same rows otherwise after later purchases")
        with self._unasked(api):
            point = self._judged(reached._replace(surrogate=one.surrogate), judge)
        if not changed and (excess := one.excess(judge.shares_of(point.metrics))):
            yield self._changed(reached, f"has {excess}")
        yield point

    def _changed(self, reached: Reached, what: str) -> Flag:
        text = (
            f"its surrogate of {reached.queries} queries {what}; yield one that no longer changes"
        )
        return Flag(INVALID, text, CHANGED)

    def _redrawn(self, place: int) -> Judge:
        """Return a judge with points of its own; the same, of a service that answers no more."""
        try:
            return self.judge.redrawn(stream(self._hidden, f"judge/{place}"))
        except Stopped:
            return self.judge

    def _judged(self, reached: Reached, judge: Judge) -> Checkpoint:
        """Score it, and let the owner of the model look for its marks."""
        found = judge.assess(reached.surrogate, reached.told)
        owned = judge.owner.verify(reached.surrogate, reached.marks)
        return reached.point(
            metrics=found.scores | owned | reached.felt,
            hits=found.hits,
            doubled=doubled(reached.surrogate) if reached.queries == self.checkpoints[-1] else None,
        )

    @contextmanager
    def _unasked(self, api: PredictionAPI) -> Iterator[None]:
        """Raise BrokenAttack where the API is asked meanwhile: by a surrogate that is judged."""
        before = api.queries
        try:
            yield
        finally:
            asked = api.queries - before
            if asked:
                raise BrokenAttack(
                    f"a surrogate of {type(self.attack).__name__} asked the API {asked} queries "
                    "while it was judged; predict must do with what was bought before"
                )


def extract(
    victim: Victim,
    defense: Defense,
    attack: Attack,
    *,
    checkpoints: Sequence[int],
    seed: int = 0,
    price: float = 0.0,
    isolation: str = NONE,
    secret: str | None = None,
) -> Iterator[Checkpoint]:
    """Run the attack once; yield the curve point by point; `Extraction` says what each means."""
    return iter(
        Extraction(
            victim,
            defense,
            attack,
            checkpoints,
            seed,
            price,
            isolation=isolation,
            secret=secret,
        )
    )


def _felt(customers: Customers) -> dict[str, float]:
    """Ask the customers; of those whose inputs are unlike most, only the measures that are kept."""
    unlike = customers.shifted.report()
    return customers.honest.report() | {
        f"shifted_{name}": unlike[f"shifted_{name}"] for name in SHIFTED
    }


__all__ = [
    "ADVERSARY",
    "BrokenAttack",
    "Checkpoint",
    "Ended",
    "Extraction",
    "NotApplicable",
    "extract",
]

"""Several attacks on one defended victim, each against a freshly deployed defense."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from moatbench.attack import Attack
from moatbench.compose.origin import ours
from moatbench.defense import Defense
from moatbench.isolation.process import LIMIT
from moatbench.judge.customers.caught import Verdict
from moatbench.judge.judge import Judge
from moatbench.randomness import stream
from moatbench.record.flag import AFRESH, INVALID, Flag
from moatbench.remote.client import Stopped
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.runner.playing import staying
from moatbench.runner.points import Ended
from moatbench.runner.secret import NONE, hidden, secret_for, stream_of
from moatbench.victim import NotApplicable, Victim


@dataclass(frozen=True)
class Point:
    """A checkpoint that an attack reached."""

    attack: str
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Skipped:
    """An attack that does not apply, or has no such API to attack, and why."""

    attack: str
    reason: str


@dataclass(frozen=True)
class Failed:
    """An attack that raised; the checkpoints that it had reached stand."""

    attack: str
    error: Exception


@dataclass(frozen=True)
class Ceased:
    """An attack on a service that answers no more, or may be asked no more, and why."""

    attack: str
    reason: str


@dataclass(frozen=True)
class Finished:
    """An attack that spent its budget.

    Args:
        attack: its name.
        seconds_added: to an honest query, by the clock.
        seconds_waited: by an honest query, virtual.
        detection: how it fared with monitors, as `caught.Verdict.of` tells.
        harm: of customers by group, as `HonestTraffic.by_group` tells.
    """

    attack: str
    seconds_added: float
    seconds_waited: float
    detection: Mapping[str, float] = field(default_factory=dict)
    harm: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubted:
    """What was found against an attack's curve."""

    attack: str
    flag: Flag


Event = Point | Skipped | Failed | Ceased | Finished | Doubted


def run_attacks(
    victim: Victim,
    defense: Defense,
    attacks: Mapping[str, Attack],
    *,
    checkpoints: Sequence[int],
    seed: int,
    price: float = 0.0,
    judge: Judge | None = None,
    isolation: str = NONE,
    secret: str | None = None,
    limit: float = LIMIT,
) -> Iterator[Event]:
    """Run each attack, by name; tell every checkpoint as it is judged.

    One that raises does not stop the others: what was measured is never lost. All are scored by the
    same judge; None makes one from `seed`, or from the secret. The last three arguments are those
    of `Extraction`; one secret holds for all attacks.
    """
    secret = secret_for(attacks.values(), isolation, secret)
    unknown = hidden(seed, secret)
    judge = judge or Judge(victim, stream(unknown, "judge"))
    rng = stream_of(defense, unknown, "defense")
    verdict = Verdict(victim, defense, unknown, rng, singly=not ours(defense))
    compared = False
    for name, attack in attacks.items():
        run = Extraction(
            victim,
            defense,
            attack,
            checkpoints,
            seed,
            price,
            judge,
            isolation=isolation,
            secret=secret,
            limit=limit,
        )
        curve: list[tuple[int, float]] = []
        try:
            for event in _told(run):
                if isinstance(event, Flag):
                    yield Doubted(name, event._replace(text=f"{name}: {event.text}", attack=name))
                    continue
                if isinstance(event, Checkpoint):
                    yield Point(name, event)
                    curve.append((event.queries, event.metrics["fidelity_test"]))
                else:
                    detection = verdict.of(event.trail, event.accounts, curve)
                    seconds = event.seconds_added, event.seconds_waited
                    yield Finished(name, *seconds, detection, event.harm)
                    if not compared and (line := run.afresh(event.trail)):
                        yield Doubted(name, Flag(INVALID, line, AFRESH))
                    compared = True
        except NotApplicable as reason:
            yield Skipped(name, str(reason))
        except Stopped as reason:
            yield Ceased(name, str(reason))
        except Exception as error:  # an attack may be anybody's code
            yield Failed(name, error)


def _told(run: Extraction) -> Iterator[Checkpoint | Flag | Ended]:
    """Yield the events of an attack, whose parts do not leave the run by sys.exit."""
    with staying():
        yield from run.events()

"""What a query monitor makes of thieves, on streams of queries that were recorded before.

A monitor whose alarms change no answer (the response `log`) changes nothing of what is asked. So an
attack is run once, its queries are kept, and every monitor is shown the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.defense import Defense
from moatbench.judge.customers.streams import Stream
from moatbench.judge.judge import Judge
from moatbench.monitor import Monitor
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.types import Array, Generator, Labels
from moatbench.victim import Victim


@dataclass(frozen=True)
class Theft:
    """An attack on the undefended victim.

    Args:
        stream: its queries, in order.
        checkpoints: queries at which its surrogates were judged.
        fidelity: (checkpoints,) of each surrogate.
    """

    stream: Stream
    checkpoints: tuple[int, ...]
    fidelity: Array

    def fidelity_after(self, queries: float) -> float:
        """Fidelity of the last surrogate judged by then; NaN before the first."""
        place = int(np.searchsorted(self.checkpoints, queries, side="right")) - 1
        return float(self.fidelity[place]) if place >= 0 else float("nan")


class _Notebook(Defense):
    """Answers the truth, and keeps what was asked."""

    def __init__(self) -> None:
        self.rows: list[Array] = []
        self.labels: list[Labels] = []

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        self.rows.append(x.copy())
        self.labels.append(reply.labels.copy())
        return reply


def steal(
    victim: Victim, attack: Attack, checkpoints: Sequence[int], seed: int, metric: str
) -> Theft:
    """Run the attack undefended; `metric` is the judge's name of the fidelity that is kept."""
    notebook, judge = _Notebook(), Judge(victim, stream(seed, "judge"))
    deployment = Deployment(victim, notebook, stream(seed, "defense"))
    api = MeteredAPI(deployment, checkpoints)
    fidelity = []
    for surrogate in attack.run(Target(api, victim.shares.pool), stream(seed, "attack")):
        fidelity.append(judge.score(surrogate)[metric])
        if len(fidelity) == len(api.checkpoints):
            break
    x, labels = np.concatenate(notebook.rows), np.concatenate(notebook.labels)
    return Theft(Stream(x, labels, np.ones(len(x), bool)), api.checkpoints, np.array(fidelity))


def mixed(theft: Stream, victim: Victim, share: float, rng: Generator) -> Stream:
    """Hide a thief's queries among rows of its pool, at random places.

    Args:
        theft: the queries to hide; none is lost.
        victim: whose pool gives the other rows, each again only once all were asked, and who
            answers them.
        share: of benign rows in what results, in [0, 1).
        rng: draws rows and places.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share of benign rows must lie in [0, 1), got {share}")
    benign = ceil(round(len(theft.x) * share / (1 - share), 9))
    order = rng.permutation(len(victim.shares.pool))
    pool = victim.shares.pool[np.resize(order, benign)]
    stolen = rng.permutation(np.arange(benign + len(theft.x)) < len(theft.x))
    x, labels = np.empty((len(stolen), theft.x.shape[1])), np.empty(len(stolen), np.int64)
    x[stolen], labels[stolen] = theft.x, theft.labels
    x[~stolen] = pool
    if benign:
        labels[~stolen] = victim.predict(pool).labels
    return Stream(x, labels, stolen)


def scores(monitor: Monitor, streams: Sequence[Stream], prefix: str) -> list[Array]:
    """Show each stream to a deployed monitor, as an account of its own: (n,) scores of each."""
    return [
        monitor.score(one.x, one.labels, f"{prefix}-{place}") for place, one in enumerate(streams)
    ]


def first_alarm(scores: Array, threshold: float) -> float:
    """Queries of the account at its first alarm; NaN where there is none."""
    over = scores > threshold
    return float(np.argmax(over) + 1) if over.any() else float("nan")


@dataclass(frozen=True)
class Detection:
    """What a threshold catches of several thefts.

    Args:
        caught: share of the thefts that raise an alarm, in [0, 1].
        queries: median queries of the account at the first alarm, of those caught; NaN for none.
        fidelity: median fidelity that they had by then; NaN where most had no surrogate yet.
    """

    caught: float
    queries: float
    fidelity: float


def detection(
    thefts: Sequence[Theft], streams: Sequence[Stream], found: Sequence[Array], threshold: float
) -> Detection:
    """Judge the alarms over thefts, given the streams that hide them and the scores of those."""
    alarms = [first_alarm(one, threshold) for one in found]
    held = [
        theft.fidelity_after(float(one.stolen[: int(alarm)].sum()))
        for theft, one, alarm in zip(thefts, streams, alarms, strict=True)
        if not np.isnan(alarm)
    ]
    caught = [alarm for alarm in alarms if not np.isnan(alarm)]
    known = [value for value in held if not np.isnan(value)]
    return Detection(
        len(caught) / len(alarms),
        float(np.median(caught)) if caught else float("nan"),
        float(np.median(known)) if 2 * len(known) > len(held) else float("nan"),
    )

"""Query monitoring: a monitor that raises the alarm, and a response to those in alarm.

Read: nothing; the rule is ours or common practice.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense, Evidence, responded
from moatbench.knobs import check_kind
from moatbench.monitor import Monitor
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim

CHOOSING = "; on the command line choose a response with response@defense.NAME.response=refuse"


@dataclass
class QueryMonitoring(Defense):
    """Watch every answered query; apply another defense to accounts in alarm, while they are.

    The monitor sees the labels as the reply carries them, and sees a query before the response
    does: the one that raises the alarm is the first to meet it.

    Args:
        monitor: tells which accounts are in alarm.
        response: any defense, applied to the rows of accounts in alarm.
    """

    monitor: Monitor
    response: Defense

    harmless: ClassVar[dict[str, Any]] = {"response": Defense()}

    def __post_init__(self) -> None:
        check_kind("query monitoring: monitor", self.monitor, Monitor, hint=CHOOSING)
        check_kind("query monitoring: response", self.response, Defense, hint=CHOOSING)
        self._forget()

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Deploy monitor and response, each on a stream of its own."""
        watching, responding = rng.spawn(2)
        self.monitor.deploy(victim, watching)
        self.response.deploy(victim, responding)
        self._forget()

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Pass the rows of an account in alarm through the response; withhold what it refuses."""
        flagged = self.monitor.observe(x, reply.labels, account)
        self._note(flagged, account)
        if not flagged.any():
            return reply
        admitted = flagged.copy()
        admitted[flagged] = self.response.admit(x[flagged], account)
        if admitted.any():
            answer = responded(self.response, x[admitted], reply.take(admitted), account)
            reply = reply.put(admitted, answer)
        return reply.refuse(flagged & ~admitted)

    def wait(self, n: int, account: str) -> float:
        """Let accounts wait for the rows at which they are in alarm, and for no others.

        Of rows that another layer did not admit, nothing is seen: they wait as the last one did.
        """
        seen, flagged = self._just_seen.pop(account, (0, 0))
        late = flagged + (max(n - seen, 0) if account in self._in_alarm else 0)
        return self.response.wait(late, account) if late else 0.0

    @property
    def traits(self) -> Traits:
        """To watch, and what the response does to accounts in alarm."""
        watching = Traits(
            {"watches", "remembers"}, shared=self.monitor.shared, memory=self.monitor.keeps
        )
        return watching | self.response.traits.for_some()

    def parts(self) -> Iterator[Defense]:
        """Yield itself, and the parts of the response."""
        yield self
        yield from self.response.parts()

    def evidence(self) -> Evidence:
        """The accounts that raised an alarm, each with its number of queries at the first."""
        return Evidence(self._first)

    @property
    def monitors(self) -> Sequence[Monitor]:
        """Its own, and the response's."""
        return (self.monitor, *self.response.monitors)

    def _forget(self) -> None:
        self._asked: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        self._in_alarm: set[str] = set()
        self._just_seen: dict[str, tuple[int, int]] = {}  # rows, and those in alarm

    def _note(self, flagged: Mask, account: str) -> None:
        """Count the queries, and keep the number of the first that raised the alarm."""
        if flagged.any() and account not in self._first:
            self._first[account] = self._asked[account] + int(np.argmax(flagged)) + 1
        self._asked[account] += len(flagged)
        self._just_seen[account] = len(flagged), int(flagged.sum())
        if flagged[-1:].any():
            self._in_alarm.add(account)
        elif len(flagged):
            self._in_alarm.discard(account)

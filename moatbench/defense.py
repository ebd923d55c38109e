"""What may stand between the clients and the victim."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from moatbench.monitor import Monitor
from moatbench.reply import Reply
from moatbench.traits import NOTHING, Traits
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim


class Marks(NamedTuple):
    """What a defense planted in its answers, to know a stolen model by.

    x (m, d) the marked rows, each once, `labels` (m,) the labels that they were told, `accounts`
    (m,) who was told each.
    """

    x: Array
    labels: Labels
    accounts: tuple[frozenset[str], ...]

    def told_to(self, accounts: Collection[str]) -> "Marks":
        """Return the marks that any of these accounts was told."""
        kept = [i for i, told in enumerate(self.accounts) if not told.isdisjoint(accounts)]
        return Marks(self.x[kept], self.labels[kept], tuple(self.accounts[i] for i in kept))


class Evidence(NamedTuple):
    """What a defense has found since it was deployed.

    `alarms` are the accounts that raised one, each with its number of queries at the first; `marks`
    the watermark planted so far, None where there is none.
    """

    alarms: Mapping[str, int] = {}
    marks: Marks | None = None


class Defense:
    """The null defense, and the base of all others: every row is answered with the truth.

    A subclass overrides what it changes, and says so in its `traits`. It must treat accounts apart
    (or say that they are `shared`), and a row's answer must not depend on how the rows were
    batched.

    Attributes:
        harmless: knob values at which it must equal no defense; None where there are none.
        strengths: the values of its knobs that are in use, for attackers who know the defense but
            not its knobs; every combination must be allowed. Empty where there is nothing to guess.
    """

    harmless: ClassVar[Mapping[str, Any] | None] = None
    strengths: ClassVar[Mapping[str, Sequence[Any]]] = {}

    @property
    def traits(self) -> Traits:
        """What it says of itself; a subclass that says nothing may do anything."""
        return NOTHING if type(self) is Defense else Traits()

    def parts(self) -> Iterator["Defense"]:
        """Yield what it is made of, itself included where it does anything of its own."""
        yield self

    @property
    def layers(self) -> Mapping[str, "Defense"]:
        """What every row passes, by name and in order: itself, or the layers of a stack."""
        return {"": self}

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Start afresh in front of `victim`: forget every account, calibrate, draw secrets.

        Raises:
            NotApplicable: the victim lacks what the defense needs.
        """

    def admit(self, x: Array, account: str) -> Mask:
        """(n,) which rows of this account's query get an answer."""
        return np.ones(len(x), dtype=bool)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Say what is answered to the admitted rows; `reply.refuse` withholds a row after all."""
        return reply

    def wait(self, n: int, account: str) -> float:
        """Virtual seconds that the account waits for the n rows that it has just asked."""
        return 0.0

    def evidence(self) -> Evidence:
        """What this part alone has found; `evidence_of` asks all parts."""
        return Evidence()

    @property
    def monitors(self) -> Sequence[Monitor]:
        """What watches the accounts, those of its parts included."""
        return ()


def responded(part: Defense, x: Array, reply: Reply, account: str) -> Reply:
    """Let a part respond to x (n, d); raise a ValueError that names it where that is no reply.

    What is in a reply is checked where customers and thieves are told it.
    """
    told = part.respond(x, reply, account)
    if isinstance(told, Reply):
        return told
    raise ValueError(
        f"{type(part).__name__}.respond must return a Reply of {len(x)} rows, got "
        f"{type(told).__name__}; return reply as it is, or reply.with_outputs(...)"
    )


def evidence_of(defense: Defense) -> Evidence:
    """Gather what the parts found: the first alarm of an account, the first watermark planted."""
    found = [part.evidence() for part in defense.parts()]
    alarms: dict[str, int] = {}
    for one in found:
        for account, queries in one.alarms.items():
            alarms[account] = min(queries, alarms.get(account, queries))
    return Evidence(alarms, next((one.marks for one in found if one.marks is not None), None))

"""What may stand between the clients and the victim."""

import logging
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import is_dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from moatbench.monitor import Monitor
from moatbench.reply import Reply
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

log = logging.getLogger(__name__)

STAGES = ("watch", "cost", "perturb", "minimise")


class NoiseModel(NamedTuple):
    """What is random in a defense's answers.

    `mode` is `fresh` (the same row is answered anew each time) or `keyed` (a secret and the row
    decide); `distribution` is the law of what is added to each output (`gaussian`, `laplace`), or
    `other`; `sigma` its standard deviation, NaN where there is none to tell.
    """

    mode: str
    distribution: str = "other"
    sigma: float = float("nan")


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


class Defense:
    """The null defense, and the base of all others: every row is answered with the truth.

    A subclass overrides what it changes. It must treat accounts apart (or say `shared = True`), and
    a row's answer must not depend on how the rows were batched.

    Attributes:
        stage: its place in a stack, one of `STAGES`; to perturb what was already minimised makes
            no sense.
        label_preserving: whether the answered label is always the victim's.
        shared: whether one account's queries may change another's answers.
        harmless: knob values at which it must equal no defense; None where there are none.
        strengths: the values of its knobs that are in use, for attackers who know the defense but
            not its knobs; every combination must be allowed. Empty where there is nothing to guess.
    """

    stage: ClassVar[str] = "perturb"
    label_preserving: ClassVar[bool] = True
    shared: ClassVar[bool] = False
    harmless: ClassVar[Mapping[str, Any] | None] = None
    strengths: ClassVar[Mapping[str, Sequence[Any]]] = {}

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Start afresh in front of `victim`: forget every account, calibrate, draw secrets.

        Raises:
            ValueError: the victim lacks what the defense needs.
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

    @property
    def stages(self) -> frozenset[str]:
        """What it does, some of `STAGES`, those of its parts included; nothing for no defense."""
        return frozenset() if type(self) is Defense else frozenset({self.stage})

    @property
    def partial(self) -> bool:
        """Whether inputs with missing features are still answered, as the documentation says."""
        return True

    @property
    def confidences(self) -> bool:
        """Whether the answers still carry outputs, as the API's documentation would say."""
        return True

    @property
    def alarms(self) -> Mapping[str, int]:
        """The accounts that raised an alarm, each with its number of queries at the first."""
        return {}

    @property
    def noise(self) -> NoiseModel | None:
        """What is random in the answers; None where a row and the past decide."""
        return None

    @property
    def snap(self) -> float:
        """Step of the grid that it moves numeric inputs to, as a share of their range; 0: none."""
        return 0.0

    @property
    def marks(self) -> Marks | None:
        """The watermark planted so far; None where the defense plants none."""
        return None

    @property
    def monitors(self) -> Sequence[Monitor]:
        """What watches the accounts, those of its parts included."""
        return ()


def weakened(defense: Defense) -> Defense:
    """Return the defense with the knob values that it declares harmless."""
    knobs = defense.harmless or {}
    if is_dataclass(defense):
        return replace(defense, **knobs)
    weak = copy(defense)
    for knob, value in knobs.items():
        setattr(weak, knob, value)
    return weak

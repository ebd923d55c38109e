"""A point of a curve: as the meter passes it, and when the surrogate is judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from moatbench.client import Surrogate
from moatbench.defense import Marks
from moatbench.judge.trail import Trail
from moatbench.types import Array, Labels, Mask, Rows


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
        accounts: the attacker's, as the defense met them.
        seconds_added: to an honest query, by the clock.
        seconds_waited: by an honest query, virtual.
        harm: of customers by group, as `HonestTraffic.by_group` tells.
    """

    trail: Trail
    accounts: frozenset[str]
    seconds_added: float
    seconds_waited: float
    harm: Mapping[str, Mapping[str, float]]


class Reached(NamedTuple):
    """A checkpoint as the meter passes it, before the surrogate is judged.

    Attributes:
        point: what lacks the metrics and hits.
        told: which rows of the test data honest customers were answered by then, and the labels.
        felt: what customers saw by then.
        marks: that the attacker was told by then; None where the defense plants none.
        surrogate: what the attack yielded.
        queries: asked by then.
    """

    point: Callable[..., Checkpoint]
    told: tuple[Rows, Labels]
    felt: dict[str, float]
    marks: Marks | None
    surrogate: Surrogate
    queries: int

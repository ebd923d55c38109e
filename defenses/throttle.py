"""Throttle: every answer comes late; as a response, to accounts in alarm only.

Source: rate limiting, as prediction services have it.
Read: nothing; the rule is ours or common practice.
"""

from dataclasses import dataclass

from moatbench.defense import Defense
from moatbench.knobs import check_number
from moatbench.traits import Traits


@dataclass(frozen=True)
class Throttle(Defense):
    """Let a client wait, in virtual seconds; no answer changes.

    Args:
        seconds: a query, at least 0.
    """

    seconds: float

    traits = Traits({"costs"})

    def __post_init__(self) -> None:
        check_number("throttle: seconds", self.seconds, 0, hint="; 0 is no wait")

    def wait(self, n: int, account: str) -> float:
        """Wait the same time for each row."""
        return self.seconds * n

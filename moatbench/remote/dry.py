"""A service that is known, and was not asked anything yet."""

from collections.abc import Sequence

from moatbench.remote.endpoint import Endpoint
from moatbench.victim import Shares


class DryRun(Exception):
    """Nothing was sent: what a run would ask is to be told.

    Args:
        shares: of the victim.
        endpoint: that would be asked.
        judged: rows that the judge may ask.
        classes: what its outputs stand for; None where that is to be found out.
        binary: see `Reading`.
        customers: that are sent beside each attack, of a defended service.
        free: whether the judge asks another model, which costs nothing.
    """

    def __init__(
        self,
        shares: Shares,
        endpoint: Endpoint,
        judged: int,
        classes: Sequence[str] | None = None,
        binary: str | None = None,
        customers: int = 0,
        *,
        free: bool = False,
    ) -> None:
        super().__init__("victim.dry_run=true sends nothing; moatbench tells what it would send")
        self.shares, self.endpoint, self.judged = shares, endpoint, judged
        self.classes, self.binary = classes, binary
        self.customers, self.free = customers, free

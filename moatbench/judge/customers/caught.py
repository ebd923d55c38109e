"""Whether the attack of a run was caught, how late, and with how much: from what the run saw."""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from math import ceil, inf, nan

import numpy as np

from moatbench.defense import Defense, evidence_of
from moatbench.judge.accounts import Accounts
from moatbench.judge.customers.streams import Stream, customers, threshold_at
from moatbench.judge.given import to_defend
from moatbench.judge.trail import Trail
from moatbench.monitor import Monitor
from moatbench.randomness import stream
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim

TURN = 10  # queries of each account, where monitors judge accounts together
ACCOUNTS, QUERIES = 200, 500  # customers, and what each asks, at most all test rows
RATE = 0.01  # of customers that may be alarmed
LEVEL = 0.95  # of fidelity on the test data
Curve = Sequence[tuple[int, float]]  # (queries, fidelity) of each surrogate


class Verdict:
    """What the monitors of a defense make of customers, and of attacks on it.

    Its copy of the defense is deployed as the run's own was, from `rng`, when it is first asked:
    customers' scores are found once for all attacks of a run. Monitors are shown the
    victim's labels and every row, as if no other defense stood before them.

    Args:
        victim: the model.
        defense: undeployed, or of an earlier run.
        seed: of the run.
        rng: what its copy draws from; None is what a run gives a defense of ours.
        singly: whether monitors are shown one row at a time, as for `Trail`.
    """

    def __init__(
        self,
        victim: Victim,
        defense: Defense,
        seed: int,
        rng: Generator | None = None,
        *,
        singly: bool = True,
    ) -> None:
        self._victim, self._defense, self._seed = victim, deepcopy(defense), seed
        self._rng, self._singly = rng or stream(seed, "defense"), singly
        self._owned = to_defend(victim)
        self._someone = Accounts.of(seed).token("judge", "someone")

    def of(self, trail: Trail, accounts: Collection[str], curve: Curve) -> dict[str, float]:
        """Tell how the attack fared; nothing where the defense has no monitor and no alarms.

        Args:
            trail: of the run.
            accounts: the attacker's.
            curve: of the attack.

        Returns:
            `tpr_at_1_percent`: the share of the attacker's accounts that the least threshold
            catches which alarms at most 1 % of 200 customers. `customers_alarmed`: share of these
            that the threshold as deployed alarms. `queries_to_first_alarm`: of the attack, all
            accounts together, until the deployed defense gave the first alarm.
            `fidelity_at_first_alarm`: of the last surrogate judged by then. `accounts_for_95`: the
            queries to 95 % fidelity, divided by what an account asked before its alarm, the
            earliest of all; where no alarm came first, the accounts that were used. What there was
            not is NaN.
        """
        raised = evidence_of(trail.defense).alarms
        alarms = {a: q for a, q in raised.items() if a in accounts}
        if not self._defense.monitors and not raised:
            return {}
        asked = [(account, x) for account, x in trail.asked if account in accounts and len(x)]
        return self._rates(asked) | time_to_alarm(alarms, [(a, len(x)) for a, x in asked], curve)

    def _rates(self, asked: Sequence[tuple[str, Array]]) -> dict[str, float]:
        """Judge the accounts against the customers; NaN where there is no monitor to ask."""
        if not self._defense.monitors:
            return {"tpr_at_1_percent": nan, "customers_alarmed": nan}
        streams = []
        for account in dict.fromkeys(account for account, _ in asked):
            x = np.concatenate([rows for who, rows in asked if who == account])
            streams.append(Stream(x, self._victim.predict(x).labels, np.ones(len(x), bool)))
        thieves = [self._greatest(monitor, streams) for monitor in self._monitors]
        usual = self._usual
        ranks = np.max([share_exceeded(t, u) for t, u in zip(thieves, usual, strict=True)], axis=0)
        own = np.max([share_exceeded(u, u) for u in usual], axis=0)
        limit = threshold_at([own[[i]] for i in range(len(own))], RATE)
        over: Mask = np.any(
            [u > m.threshold for u, m in zip(usual, self._monitors, strict=True)], axis=0
        )
        return {
            "tpr_at_1_percent": float(np.mean(ranks > limit)),
            "customers_alarmed": float(over.mean()),
        }

    @cached_property
    def _monitors(self) -> Sequence[Monitor]:
        self._defense.deploy(self._owned, self._rng)
        return self._defense.monitors

    @cached_property
    def _usual(self) -> list[Array]:
        """(customers,) the greatest score of each, by monitor."""
        drawn = customers(self._victim, ACCOUNTS, QUERIES, stream(self._seed, "customers"))
        return [self._greatest(monitor, drawn) for monitor in self._monitors]

    def _greatest(self, monitor: Monitor, streams: Sequence[Stream]) -> Array:
        """(streams,) the greatest score of each, as a new account of a deployed monitor."""
        if monitor.shared:
            return self._in_turn(monitor, streams)
        found = [self._scores(monitor, one) for one in streams]
        return np.array([scores.max(initial=-inf) for scores in found])

    def _in_turn(self, monitor: Monitor, streams: Sequence[Stream]) -> Array:
        """(streams,) the same where accounts are judged together: all ask in turn, nobody else."""
        twin = deepcopy(monitor, {id(self._owned): self._owned})
        greatest, turn = np.full(len(streams), -inf), 1 if self._singly else TURN
        for start in range(0, max((len(one.x) for one in streams), default=0), turn):
            for place, one in enumerate(streams):
                x, labels = one.x[start : start + turn], one.labels[start : start + turn]
                if len(x):
                    found = twin.score(x, labels, f"{self._someone}-{place}")
                    greatest[place] = max(greatest[place], float(found.max()))
        return greatest

    def _scores(self, monitor: Monitor, one: Stream) -> Array:
        """(n,) what the monitor makes of each row of a stream."""
        if not self._singly:
            return monitor.peek(one.x, one.labels, self._someone)
        twin = deepcopy(monitor, {id(self._owned): self._owned})
        rows = zip(one.x[:, None], one.labels[:, None], strict=True)
        return np.array([twin.score(x, label, self._someone)[0] for x, label in rows])


def share_exceeded(found: Array, usual: Array) -> Array:
    """(n,) the share of the usual scores that each exceeds: scores of monitors, made comparable."""
    return np.searchsorted(np.sort(usual), found, side="left") / len(usual)


def time_to_alarm(
    alarms: Mapping[str, int], asked: Sequence[tuple[str, int]], curve: Curve
) -> dict[str, float]:
    """Tell how late the first alarm was, as in `Verdict.of`.

    Args:
        alarms: of the attacker's accounts, the queries of each at its first.
        asked: accounts and their numbers of queries, in order.
        curve: of the attack.
    """
    owners = np.repeat([a for a, _ in asked], [n for _, n in asked])
    first = inf
    for account, queries in alarms.items():
        of_account = np.flatnonzero(owners == account)
        first = min(first, of_account[min(queries, len(of_account)) - 1] + 1)
    held = [fidelity for queries, fidelity in curve if queries <= first]
    needed = next((queries for queries, fidelity in curve if fidelity >= LEVEL), None)
    free = min(alarms.values(), default=0) - 1
    return {
        "queries_to_first_alarm": float(first) if first < inf else nan,
        "fidelity_at_first_alarm": held[-1] if held and first < inf else nan,
        "accounts_for_95": nan if needed is None else _accounts_needed(needed, first, free, owners),
    }


def _accounts_needed(needed: int, first: float, free: int, owners: Array) -> float:
    """Accounts for so many queries, if each may ask `free` of them; NaN where none would do."""
    if first > needed:
        return float(len(set(owners[:needed].tolist())))
    return float(ceil(needed / free)) if free > 0 else nan

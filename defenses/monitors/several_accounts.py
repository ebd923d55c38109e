"""Several accounts as one: what a thief asks from many accounts in turn, each alone too few to see.

Source: by links, a student project's description; by boxes, the abstract of patent US 11921861 on
the extraction warning (Kesarwani et al. 2018). Both are controls: no paper has them.
Read: abstract.
"""

from collections.abc import Iterator
from copy import copy, deepcopy
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

import numpy as np

from moatbench.defenses.monitors.extraction_warning import entropy
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch, Scaling
from moatbench.types import Array, Generator, Labels, Mask, Rows
from moatbench.victim import NotApplicable, Victim

POPULATIONS = 5  # of honest accounts, whose boxes are joined
STATISTICS = ("links", "boxes")
ROWS = 2000  # of the defender's data, at most


@dataclass
class SeveralAccounts(Monitor):
    """Alarm an account whose queries, with those of others, look like one extraction.

    `links`: accounts are linked whose mean standardised rows have a cosine of at least `cosine`,
    and an account belongs with all that it reaches. The status is H(class shares of all together)
    minus the mean of H(class shares) of each, 0 for an account alone; the score is the least of
    the last `running`. `boxes`: of each account and class told, the box of its queries; those of
    the account and of the `joined` - 1 others that cover most are joined, class by class, and the
    status is the share of the box of the class's training rows that they span, mean over the
    columns, classes by their share of the rows.

    An account is judged at its `check_every`-th query, then ever later, by `growth`. The threshold
    is calibrated on honest accounts that ask in turn: it holds where there are not more of them. By
    links it is at least their status, were all linked when last judged; by boxes it is the greatest
    of several such populations, as accounts that are joined with the same others share their fate.
    A thief's account may put a customer in alarm, who asks what it asks. Left out of the
    description of links, as too little is said of it: e-values, accumulated to 1 / alpha = 1000.
    Verified: statuses on examples by hand.

    Args:
        statistic: `links` or `boxes`.
        cosine: of linked accounts, in (0, 1].
        running: judgements of `links` that must all exceed the threshold.
        joined: accounts whose boxes are joined, at most.
        check_every: queries of an account from one judgement to the next, at the beginning.
        growth: later, they are further apart: this share of the queries so far, at least.
        calibration: of the threshold, on the defender's training data.
    """

    statistic: str
    cosine: float
    running: int
    joined: int
    check_every: int
    growth: float
    calibration: Calibration

    keeps: ClassVar[str] = "counts"
    shared: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_choice("several_accounts: statistic", self.statistic, STATISTICS)
        check_number("several_accounts: cosine", self.cosine, 0, 1, above=True)
        for knob in ("running", "joined", "check_every"):
            check_whole(f"several_accounts: {knob}", getattr(self, knob), 1)
        check_number("several_accounts: growth", self.growth, 0)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; find what honest accounts look like together.

        Raises:
            NotApplicable: a regression victim.
        """
        if len(victim.classes) == 1:
            raise NotApplicable("several_accounts needs classes: a regression victim has one label")
        self._latch = Latch()
        x = victim.shares.x_train
        x = x[rng.permutation(len(x))[:ROWS]]
        labels, links = victim.predict(x).labels, self.statistic == "links"
        # For links rows as new as customers': the mean of many is never quite that of the others
        known, new = (len(x) // 2, len(x) // 2) if links else (len(x), 0)
        self._encode, self._k = Scaling.of(x[:known]), len(victim.classes)
        self._region = _Seen(x.shape[1], self._k, 0)
        self._region.add(self._encode(x[:known]), labels[:known])
        x, labels = self._encode(x[new:]), labels[new:]
        self._accounts: dict[str, _Seen]
        found = []
        for _ in range(1 if links else POPULATIONS):
            self._accounts = {}
            drawn = self.calibration.draw(len(x), rng, repeats=links)
            found.append(self.calibration.threshold(self._greatest(x, labels, drawn)))
        self.threshold = max(found)
        if links and self._accounts:
            # Customers too are linked in the end, by what sets them all apart from the known rows
            counts = np.array([seen.counts for seen in self._accounts.values()])
            self.threshold = max(self.threshold, unlike_shares(counts))
        self._accounts = {}

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) the account's score where it is judged; -inf elsewhere."""
        return self._scored(self._encode(x), labels, account)

    def peek(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) what `score` would tell; the account has not asked the rows."""
        twin = copy(self)
        own = {account: deepcopy(self._accounts[account])} if account in self._accounts else {}
        twin._accounts = self._accounts | own
        return twin.score(x, labels, account)

    def _scored(self, z: Array, labels: Labels, account: str) -> Array:
        known = self._accounts.setdefault(account, _Seen(z.shape[1], self._k, self.check_every))
        scores, start = np.full(len(z), -inf), 0
        for end in self._ends(known, len(z)):
            known.add(z[start:end], labels[start:end])
            known.statuses.append(self._status(account))
            running = self.running if self.statistic == "links" else 1
            if len(known.statuses) >= running:
                scores[end - 1] = min(known.statuses[-running:])
            start = end
        known.add(z[start:], labels[start:])
        return scores

    def _ends(self, known: "_Seen", n: int) -> Iterator[int]:
        """Yield the numbers of those of the next n rows at which the account is judged."""
        before = known.asked
        while known.due <= before + n:
            end = known.due - before
            known.due += max(self.check_every, int(self.growth * known.due))
            yield end

    def _status(self, account: str) -> float:
        own = self._accounts[account]
        others = [
            seen for name, seen in self._accounts.items() if name != account and seen.statuses
        ]
        if self.statistic == "links":
            return unlike_shares(np.array([s.counts for s in self._linked(own, others)]))
        own.covered = covered(self._region, own.low, own.high)
        most = sorted(others, key=lambda seen: -seen.covered)[: self.joined - 1]
        low = np.min([own.low, *(seen.low for seen in most)], axis=0)
        high = np.max([own.high, *(seen.high for seen in most)], axis=0)
        return covered(self._region, low, high)

    def _linked(self, own: "_Seen", others: list["_Seen"]) -> list["_Seen"]:
        """Return the account and all that it reaches by links."""
        group, left = [own], others
        if not others:
            return group
        directions = np.array([seen.direction for seen in others])
        waiting = [own]
        while waiting and left:
            near = directions @ waiting.pop().direction >= self.cosine
            found = [seen for seen, linked in zip(left, near, strict=True) if linked]
            left = [seen for seen, linked in zip(left, near, strict=True) if not linked]
            directions = directions[~near]
            group, waiting = group + found, waiting + found
        return group

    def _greatest(self, x: Array, labels: Labels, drawn: list[Rows]) -> list[float]:
        """Return the greatest score of each honest account; they ask in turn until a judgement."""
        greatest, asked = [-inf] * len(drawn), 0
        ends = list(self._ends(_Seen(0, 1, self.check_every), len(drawn[0])))
        for end in ends:
            for place, rows in enumerate(drawn):
                part = rows[asked:end]
                scores = self._scored(x[part], labels[part], str(place))
                greatest[place] = max(greatest[place], float(scores.max(initial=-inf)))
            asked = end
        return greatest


@dataclass
class _Seen:
    """What is known of an account: (d,) sums of its rows, (k,) labels, (k, d) boxes by label."""

    d: int
    k: int
    due: int
    asked: int = 0
    statuses: list[float] = field(default_factory=list)
    covered: float = -1.0

    def __post_init__(self) -> None:
        self.sums, self.counts = np.zeros(self.d), np.zeros(self.k)
        self.low, self.high = np.full((self.k, self.d), inf), np.full((self.k, self.d), -inf)

    def add(self, z: Array, labels: Labels) -> None:
        """Count some rows."""
        self.asked += len(z)
        self.sums += z.sum(axis=0)
        self.counts += np.bincount(labels, minlength=self.k)
        np.minimum.at(self.low, labels, z)
        np.maximum.at(self.high, labels, z)

    @property
    def direction(self) -> Array:
        """(d,) its mean row, at length 1; 0 where that is 0."""
        length = float(np.linalg.norm(self.sums))
        return self.sums / length if length else self.sums


def unlike_shares(counts: Array) -> float:
    """Bits by which all together are more mixed than each: (accounts, k) labels of each."""
    together, each = entropy(counts.sum(axis=0)), entropy(counts)
    return float(together - each.mean())


def covered(region: _Seen, low: Array, high: Array) -> float:
    """Return the share of the region's boxes that boxes (k, d) span; columns count alike."""
    inside = (np.minimum(high, region.high) - np.maximum(low, region.low)).clip(0)
    whole = region.high - region.low
    share = np.divide(inside, whole, out=np.zeros(whole.shape), where=whole > 0)
    columns = np.maximum((whole > 0).sum(axis=1), 1)
    return float(region.counts / region.counts.sum() @ (share.sum(axis=1) / columns))

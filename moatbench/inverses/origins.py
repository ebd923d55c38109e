"""What the true answers may have been, given what was told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from moatbench.defense import Defense
from moatbench.reply import Reply, has_outputs
from moatbench.types import Array, Labels, Mask, Rows


@dataclass(frozen=True)
class Origins:
    """What n answers may have been: of each, none, one or several candidates.

    A candidate is a box: exact where its bounds meet. An answer without a candidate is one that the
    defense at hand never tells. The true answer is within one of the boxes, or they are wrong.

    Args:
        n: answers.
        rows: (m,) which answer each candidate is of.
        low: (m, k) the least that each confidence may have been.
        high: (m, k) the most.
        labels: (m,) the label that goes with each candidate.
        mixed: (m, k) confidences of which only the values are known, not whose each is: any order
            among these classes is possible.
    """

    n: int
    rows: Rows
    low: Array
    high: Array
    labels: Labels
    mixed: Mask

    @staticmethod
    def of(reply: Reply) -> "Origins":
        """Return each answer itself, as its only candidate; none of an answer without outputs."""
        rows = np.flatnonzero([] if reply.outputs is None else has_outputs(reply.outputs))
        told = np.zeros((0, 1)) if reply.outputs is None else reply.outputs[rows]
        return Origins(len(reply), rows, told, told, reply.labels[rows], np.zeros(told.shape, bool))

    @property
    def k(self) -> int:
        """Classes."""
        return int(self.low.shape[1])

    @property
    def exact(self) -> Mask:
        """(m,) which candidates are points."""
        wide = self.mixed.sum(axis=1) > 1
        return np.asarray((self.low == self.high).all(axis=1) & ~wide)

    @property
    def counts(self) -> Rows:
        """(n,) candidates of each answer."""
        return np.bincount(self.rows, minlength=self.n)

    @property
    def certain(self) -> Mask:
        """(n,) which answers have one candidate, an exact one."""
        found = np.zeros(self.n, bool)
        found[self.rows] = self.exact
        return np.asarray(found & (self.counts == 1))

    @property
    def pointed(self) -> Mask:
        """(n,) which answers have candidates, and each a point, or one but for an order."""
        wide = np.bincount(self.rows, (self.low < self.high).any(axis=1), minlength=self.n)
        return np.asarray((self.counts > 0) & (wide == 0))

    def take(self, chosen: Mask | Rows) -> "Origins":
        """Return some of the candidates."""
        low, high, mixed = self.low[chosen], self.high[chosen], self.mixed[chosen]
        return Origins(self.n, self.rows[chosen], low, high, self.labels[chosen], mixed)

    def moved(self, low: Array, high: Array, possible: Mask, sources: Rows) -> "Origins":
        """Return what candidates came from: those that are possible of (j, k) boxes.

        Args:
            low: the least confidences; a little below 0 is 0.
            high: the most; equal to `low` where they are exact.
            possible: (j,) which boxes a true answer can lie in.
            sources: (j,) which candidate of this one each is an origin of.
        """
        after = self.take(sources[possible])
        low, high = low[possible].clip(0, 1), high[possible].clip(0, 1)
        return replace(after, low=np.minimum(low, high), high=high)

    def relabelled(self) -> "Origins":
        """Return the same with the top class of what is exact for its label."""
        labels = np.where(self.exact, self.low.argmax(axis=1), self.labels)
        return replace(self, labels=labels)

    def by_label(self) -> "Origins":
        """Return the same, each bounded candidate once for every class that may be its label.

        Where a rule moves the label, the one that was told says nothing of bounds; the rule before
        it goes by the label that it was given.
        """
        exact = self.exact
        settled = exact | (self.mixed.sum(axis=1) > 1)
        most, least = self.high >= self.low.max(axis=1, initial=0.0)[:, None], self.low
        most[settled] = np.eye(self.k, dtype=bool)[
            np.where(exact, self.low.argmax(axis=1), self.labels)[settled]
        ]
        sources, tops = np.nonzero(most)
        split = replace(self.take(sources), labels=tops.astype(np.int64))
        rows, wide = np.arange(len(sources)), ~settled[sources]
        low, high = split.low.copy(), split.high.copy()
        low[rows[wide], tops[wide]] = least[sources[wide]].max(axis=1)
        high[wide] = np.minimum(high[wide], high[rows[wide], tops[wide]][:, None])
        return replace(split, low=low, high=high)

    def holds(self, true: Array, tolerance: float) -> Mask:
        """(n,) whether an answer's truth (n, k) is within one of its boxes, by a tolerance."""
        at = true[self.rows]
        inside = (at >= self.low - tolerance) & (at <= self.high + tolerance)
        fits = (inside | self.mixed).all(axis=1) & self._same_set(at, tolerance)
        found = np.zeros(self.n, bool)
        found[self.rows[fits]] = True
        return found

    def _same_set(self, at: Array, tolerance: float) -> Mask:
        """(m,) whether the mixed confidences, in order of size, are within those of the box."""
        low, high, at = (np.sort(np.where(self.mixed, v, 2.0)) for v in (self.low, self.high, at))
        return np.asarray(((at >= low - tolerance) & (at <= high + tolerance)).all(axis=1))


class Invertible(Protocol):
    """A defense that says what a true answer may have been, to whoever knows its knobs.

    Optional: a defense offers it by a method of this name. It is asked of a copy that is not
    deployed and has no secrets. The contract asks that the true answer be among the candidates.
    """

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Return the candidates for what the defense was given, from those for what it told.

        Return all there are, and leave out what cannot be: an answer that the defense never tells
        has none. What it told may be known within bounds alone, where another layer came behind it.
        Where there are too many candidates to list, those near a guess (n, k) of the true answers
        will do.
        """


class Searchable(Invertible, Protocol):
    """A defense that is looked for by whoever isn't told which one it is.

    Optional: what it tells must differ from true answers, else nothing speaks for it. One whose
    answers the true ones alone decide may have a method `told_of` as well, from these (n, k) to
    what is told of them: then a model is looked for that explains the answers.
    """

    strengths: ClassVar[Mapping[str, Sequence[Any]]]

    @classmethod
    def published(cls) -> Mapping[str, Defense]:
        """Return it as published, by name; its `strengths` are tried beside."""


def joined(parts: Sequence[Origins]) -> Origins:
    """Return the candidates of all parts, at least one, which are of the same answers."""
    every = _concatenated(parts, [0] * len(parts), parts[0].n)
    return every.take(np.argsort(every.rows, kind="stable"))


def stacked(parts: Sequence[Origins]) -> Origins:
    """Return the candidates of all parts, at least one, which are of answers one after another."""
    ends = np.cumsum([0] + [part.n for part in parts])
    return _concatenated(parts, ends[:-1].tolist(), int(ends[-1]))


def _concatenated(parts: Sequence[Origins], first: Sequence[int], n: int) -> Origins:
    """Put candidates together, each part's answers counted from its first."""
    rows = np.concatenate([part.rows + at for part, at in zip(parts, first, strict=True)])
    low, high = (np.concatenate([getattr(p, f) for p in parts]) for f in ("low", "high"))
    labels = np.concatenate([part.labels for part in parts])
    mixed = np.concatenate([part.mixed for part in parts])
    return Origins(n, rows, low, high, labels, mixed)

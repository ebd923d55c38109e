"""The switches that are on at a point, and which smaller sets of them may explain its residual."""

import numpy as np
from numpy.typing import NDArray

from moatbench.solvers.expansion.book import Book
from moatbench.types import Array, Mask, Rows

Single = NDArray[np.float32]  # counts, and weights that need no more
REST = -1  # in place of a switch: what lies between the last known threshold and the point
TOGETHER = 3.0  # factor by which each switch that two terms share makes a further one likelier
UNSEEN = 0.5  # uses of a switch that is in no term
SEEN_ZERO = 0.02  # factor of what a point without residual speaks against, unless errors cancel
MOST_ZEROS = 1500  # points without residual, those with most of the switches


class Lattice:
    """A point's switches as elements, which can be turned off from the far end of a feature.

    Attributes:
        feature: (E,) the feature that an element moves; of one feature, nearest first.
        switch: (E,) the known threshold that it crosses, or `REST`; of a name, any that is on.
        value: (E,) what the feature is then.
        bases: (B, E) the known terms within.
        prior: (B, E) how likely each of them and one further element make up a missing term.
    """

    def __init__(self, book: Book, i: int) -> None:
        self._book, self.x = book, book.values[i].copy()
        self._list(i)
        self.later: Mask = (self.feature[:, None] == self.feature) & (
            np.arange(len(self.feature))[:, None] < np.arange(len(self.feature))
        )  # (E, E) whether the second is beyond the first on its feature
        self.bases = self._known_terms(i)
        self.zeros = self._zeros()
        self.prior = self._prior()

    def _list(self, i: int) -> None:
        book, at, x = self._book, self._book.at, self.x
        feature: list[int] = []
        switch: list[int] = []
        value: list[float] = []
        self._of = np.full(len(book.switches), -1, dtype=np.intp)  # element of a switch
        for j in np.flatnonzero(x != at.anchor):
            on = [v for v in book.switches.of[j] if book.on[i, v]]
            if at.nominal[j]:
                self._of[on] = len(feature)
                on = on[-1:] or [REST]
            far = x[j] if at.nominal[j] else at.anchor[j]
            for v in on:
                if not at.nominal[j]:
                    near = book.switches.near(v)
                    if abs(near - at.anchor[j]) > abs(x[j] - at.anchor[j]):
                        self._of[v] = len(feature)  # not surely crossed: part of the rest
                        continue
                    far = near
                    self._of[v] = len(feature)
                feature.append(int(j))
                switch.append(v)
                value.append(float(far))
            if far != x[j]:
                feature.append(int(j))
                switch.append(REST)
                value.append(float(x[j]))
        self.feature: Rows = np.array(feature, dtype=np.intp)
        self.switch: Rows = np.array(switch, dtype=np.intp)
        self.value: Array = np.array(value)

    def point(self, kept: Mask) -> Array:
        """(J,) the anchor, moved by these elements."""
        at = self._book.at.anchor.copy()
        for e in np.flatnonzero(kept):
            at[self.feature[e]] = self.value[e]
        return at

    def closure(self, kept: Mask) -> Mask:
        """(E,) these elements, and those before them on their features."""
        return kept | self.later[:, kept].any(axis=1)

    def as_elements(self, members: Array) -> Mask:
        """(m, E) of (m, V) sets of switches, all on here."""
        out = np.zeros((len(members), len(self.feature)), dtype=bool)
        here = self._of >= 0
        rows, switches = np.nonzero(members[:, here[: members.shape[1]].nonzero()[0]])
        out[rows, self._of[here.nonzero()[0][switches]]] = True
        return out

    def _known_terms(self, i: int) -> Mask:
        terms, on = self._book.terms, self._book.on[i]
        members = terms.members
        inside = members @ on[: members.shape[1]].astype(np.float32) == terms.sizes
        self._inside = np.flatnonzero(inside)
        return self.as_elements(members[inside])

    def _zeros(self) -> Single:
        """(m, E) which elements are on at points where nothing is left over, the fullest ones."""
        book = self._book
        rows = np.flatnonzero(~book.left)
        values = book.values[rows]
        on = np.zeros((len(rows), len(self.feature)), dtype=np.float32)
        anchor = book.at.anchor
        for e, (j, v) in enumerate(zip(self.feature, self.switch, strict=True)):
            if book.at.nominal[j]:
                on[:, e] = values[:, j] == self.x[j]
            elif v == REST:
                up = self.value[e] > anchor[j]
                on[:, e] = values[:, j] >= self.value[e] if up else values[:, j] <= self.value[e]
            else:
                on[:, e] = book.on[rows, v]
        if len(on) <= MOST_ZEROS:
            return on
        count = on.sum(axis=1)
        return on[np.argpartition(-count, MOST_ZEROS)[:MOST_ZEROS]]

    def _prior(self) -> Single:
        book, members = self._book, self._book.terms.members
        mine = members[self._inside]
        weight = np.full((len(mine), len(self._of)), UNSEEN, dtype=np.float32)
        if members.shape[1]:
            shared = np.float32(TOGETHER) ** (mine @ members.T)
            weight[:, : members.shape[1]] += shared @ members
        every = weight.sum(axis=1, keepdims=True) + 1e-9
        prior = np.zeros((len(mine), len(self.feature)), dtype=np.float32)
        for v in np.flatnonzero(self._of >= 0):
            prior[:, self._of[v]] += weight[:, v] / every[:, 0]
        new = self.switch == REST
        prior[:, new] = 1 / (2 + len(book.switches))
        return self._without(prior)

    def _without(self, prior: Single) -> Single:
        """Leave out what is no set, or known; believe little of what seems to be zero."""
        bases = self.bases.astype(np.float32)
        taken = bases @ (self.feature[:, None] == self.feature).astype(np.float32) > 0
        prior[taken] = 0
        where = {row.tobytes(): b for b, row in enumerate(self.bases)}
        for row in self.bases:
            for e in np.flatnonzero(row):
                smaller = row.copy()
                smaller[e] = False
                b = where.get(smaller.tobytes())
                if b is not None:
                    prior[b, e] = 0
        if len(self.zeros):
            size = bases.sum(axis=1)
            whole = (self.zeros @ bases.T == size).astype(np.float32)
            prior[whole.T @ self.zeros > 0] *= SEEN_ZERO
        return prior

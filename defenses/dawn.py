"""DAWN: a few queries, chosen by a secret, are told a wrong label that only a thief will repeat.

Source: Szyller et al. 2021, "DAWN: Dynamic Adversarial Watermarking of Neural Networks",
arXiv:1906.00830.
Read: authors' code.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense, Evidence, Marks
from moatbench.knobs import check_number
from moatbench.numerics.keyed import keyed_uniform
from moatbench.reply import Reply
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array, Generator, Labels, Rows
from moatbench.victim import NotApplicable, Victim

EXACT = 1e-12  # rows on the grid are the same to the last bit


@dataclass
class DAWN(Defense):
    """Tell a keyed wrong label in a share of the cells of input space, and remember to whom.

    Cell and secret key decide whether a row is marked, and an order of the classes, whose first
    that is not the truth is told: uniform over the others. The confidences of the two labels
    change places. A repeat, from whichever account and with whatever jitter stays in the cell, is
    marked alike; where a boundary crosses a marked cell, its two sides may be told otherwise.

    It departs from the paper in the code that is hashed: there the signs of an embedding, chosen
    for pictures; here the cell of a grid, as inputs are tables.

    Each marked cell is kept once, with the row and the label that were told first and all accounts
    that met it, as `marks`: the model of an account is tested on what that account was told. A row
    that a later layer of a stack withholds, or tells otherwise, is kept as it left here.

    Verified: the share of marked cells; that told labels are uniform over the wrong ones; that
    honest and thief meet the same marks, each cell once.

    Args:
        share: of the cells that are marked, from 0 to 1; 0 is no defense.
        grid: side of a cell, above 0 and up to 1, as a share of each numeric feature's range.
    """

    share: float
    grid: float

    harmless: ClassVar[dict[str, Any]] = {"share": 0.0}

    def __post_init__(self) -> None:
        check_number("dawn: share", self.share, 0, 1, hint="; 0 is no defense")
        check_number("dawn: grid", self.grid, 0, 1, above=True, hint="; for example 0.01")
        self._planted: dict[bytes, _Mark] = {}
        self._columns = 0

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Draw the key, and forget all marks; need two classes to confuse."""
        if len(victim.classes) < 2:
            raise NotApplicable(
                "dawn tells the label of another class, and this victim has one class; choose a "
                "classifier, or leave dawn out"
            )
        self._space, self._classes = victim.space, len(victim.classes)
        self._key, self._columns = rng.bytes(32), victim.space.d
        self._planted = {}

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer wrongly in marked cells, and remember it; a row already withheld is no mark."""
        if self.share == 0:
            return reply
        cells = self._space.snap(x, self.grid)
        drawn = keyed_uniform(self._key, self._space.scaled(cells), 1 + self._classes, EXACT)
        marked = drawn[:, 0] < self.share
        if reply.refused is not None:
            marked &= ~reply.refused
        rows = np.flatnonzero(marked)
        if not len(rows):
            return reply
        wrong = first_other(np.argsort(drawn[rows, 1:], axis=1), reply.labels[rows])
        for row, label in zip(rows, wrong.tolist(), strict=True):
            mark = _Mark(x[row].copy(), label, set())
            self._planted.setdefault(cells[row].tobytes(), mark).accounts.add(account)
        return _told(reply, rows, wrong)

    @property
    def traits(self) -> Traits:
        """The rows that it marks are kept; no answer depends on them."""
        noise = NoiseModel("keyed") if self.share else None
        return Traits({"marks"}, keeps_labels=False, noise=noise, memory="rows")

    def evidence(self) -> Evidence:
        """All marks told since the deployment, in the order in which they were first told."""
        planted = list(self._planted.values())
        marks = Marks(
            np.array([mark.x for mark in planted]).reshape(len(planted), self._columns),
            np.array([mark.label for mark in planted], dtype=np.int64),
            tuple(frozenset(mark.accounts) for mark in planted),
        )
        return Evidence(marks=marks)


@dataclass(frozen=True)
class _Mark:
    """A row, the label that it was told, and who was told."""

    x: Array
    label: int
    accounts: set[str]


def first_other(order: Rows, labels: Labels) -> Labels:
    """(n,) the first class in each row's order (n, k) that is not its label (n,)."""
    rows = np.arange(len(order))
    return np.asarray(np.where(order[:, 0] == labels, order[:, 1], order[rows, 0]), dtype=np.int64)


def _told(reply: Reply, rows: Rows, wrong: Labels) -> Reply:
    """Return the reply with other labels for some rows, their confidences swapped."""
    labels = reply.labels.copy()
    labels[rows] = wrong
    if reply.outputs is None:
        return replace(reply, labels=labels)
    outputs, true = reply.outputs.copy(), reply.labels[rows]
    outputs[rows, wrong], outputs[rows, true] = (
        reply.outputs[rows, true],
        reply.outputs[rows, wrong],
    )
    return replace(reply, labels=labels, outputs=outputs)

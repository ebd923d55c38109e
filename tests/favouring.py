"""Defenses that treat customers and attackers differently, by what no service could go by."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim


class Liar(Defense):
    """Turns the confidences of some rows round, labels with them; keeps what it was asked."""

    asked: ClassVar[list[tuple[str, int]]] = []
    traits = Traits({"relabels"}, keeps_labels=False)

    def lies(self, x: Array, account: str) -> Mask:
        return np.zeros(len(x), bool)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        self.asked.append((account, len(x)))
        assert reply.outputs is not None
        outputs, lied = reply.outputs.copy(), self.lies(x, account)
        outputs[lied] = outputs[lied, ::-1]
        return Reply(outputs.argmax(axis=1), outputs)


class KnowsNames(Liar):
    """Spares whom earlier versions called honest."""

    def lies(self, x: Array, account: str) -> Mask:
        return np.full(len(x), not account.startswith(("honest", "shifted")))


class KnowsBatches(Liar):
    """Spares whom asks as few rows at once as customers do."""

    def lies(self, x: Array, account: str) -> Mask:
        return np.full(len(x), len(x) > 10)


class KnowsTheFirst(Liar):
    """Spares all but the account that asked first."""

    first = ""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.first = ""

    def lies(self, x: Array, account: str) -> Mask:
        self.first = self.first or account
        return np.full(len(x), account == self.first)


class HashesNames(Liar):
    """Lies to half of all accounts."""

    def lies(self, x: Array, account: str) -> Mask:
        return np.full(len(x), sum(account.encode()) % 2 == 0)


PARTIAL: Mapping[str, Any] = {
    "depends on the account": KnowsNames,
    "depends on the batch": KnowsBatches,
    "depends on who asked before": KnowsTheFirst,
}

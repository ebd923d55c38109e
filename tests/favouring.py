"""Defenses that treat customers and attackers differently, by what no service could go by."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.reply import Reply
from moatbench.traits import NoiseModel, Traits
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


class SparesTheFirstThree(Liar):
    """Lies to all accounts but the three that asked first."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.known: list[str] = []

    def lies(self, x: Array, account: str) -> Mask:
        if account not in self.known:
            self.known.append(account)
        return np.full(len(x), account not in self.known[:3])


class KnowsTheRows(Liar):
    """Spares rows that lie within `near` of those that it has found somewhere."""

    rows: ClassVar[Array] = np.empty((0, 4))

    def __init__(self, near: float) -> None:
        self.near = near

    def lies(self, x: Array, account: str) -> Mask:
        off = [np.abs(self.rows - row).max(axis=1).min(initial=np.inf) for row in x]
        return np.array(off) > self.near


class LiesToNeighbours(Liar):
    """Lies where a row lies beside one that was asked before, as a watchful one may."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.seen = np.empty((0, victim.space.d))

    def lies(self, x: Array, account: str) -> Mask:
        off = [np.abs(self.seen - row).max(axis=1) for row in x]
        self.seen = np.concatenate([self.seen, x])
        return np.array([bool(((o > 0) & (o < 0.05)).any()) for o in off])


class CountsForAll(Liar):
    """Lies after some rows, which it counts for all deployments together."""

    asked_ever = 0

    def lies(self, x: Array, account: str) -> Mask:
        CountsForAll.asked_ever += len(x)
        return np.full(len(x), CountsForAll.asked_ever > 100)


class KnowsTheAttacked(Liar):
    """Lies to who asks more than ten rows with nobody between, in its first deployment alone."""

    deployed = 0

    def deploy(self, victim: Victim, rng: Generator) -> None:
        KnowsTheAttacked.deployed += 1
        self.first, self.last, self.run = KnowsTheAttacked.deployed == 1, "", 0

    def lies(self, x: Array, account: str) -> Mask:
        self.run = self.run + 1 if account == self.last else 1
        self.last = account
        return np.full(len(x), self.first and self.run > 10)


class NoisyForAll(Liar):
    """Draws its noise from NumPy's global stream."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        noisy = np.clip(reply.outputs + np.random.normal(0, 0.2, reply.outputs.shape), 1e-6, None)  # noqa: NPY002
        return reply.with_outputs(noisy / noisy.sum(axis=1, keepdims=True))


class Noisy(Liar):
    """Adds fresh noise; lies to some."""

    traits = Traits({"perturbs"}, keeps_labels=False, noise=NoiseModel("fresh"))

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.rng, self.last, self.run = rng, "", 0

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        noisy = np.clip(reply.outputs + self.rng.normal(0, 0.05, reply.outputs.shape), 1e-6, None)
        told = reply.with_outputs(noisy / noisy.sum(axis=1, keepdims=True))
        return super().respond(x, told, account)


class NoisyToNames(Noisy):
    """Lies to half of all accounts."""

    def lies(self, x: Array, account: str) -> Mask:
        return np.full(len(x), sum(account.encode()) % 2 == 0)


class NoisyToRuns(Noisy):
    """Lies to who asks more than ten rows with nobody between, as attackers do."""

    def lies(self, x: Array, account: str) -> Mask:
        self.run = self.run + 1 if account == self.last else 1
        self.last = account
        return np.full(len(x), self.run > 10)


PARTIAL: Mapping[str, Any] = {
    "depends on the account": KnowsNames,
    "depends on the batch": KnowsBatches,
    "depends on who asked before": KnowsTheFirst,
}

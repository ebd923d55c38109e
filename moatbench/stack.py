"""Several defenses one behind another, which clients meet as one."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from moatbench.defense import STAGES, Defense, Marks, NoiseModel
from moatbench.monitor import Monitor
from moatbench.reply import Reply
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim

log = logging.getLogger(__name__)


class Stack(Defense):
    """Several defenses as one: asked to admit, and to respond, in the given order."""

    def __init__(self, layers: Mapping[str, Defense]) -> None:
        self.layers = dict(layers)
        for problem in order_problems(self.layers):
            log.warning(problem)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Deploy each layer on a stream of randomness of its own."""
        for layer, stream in zip(self._all, rng.spawn(len(self._all)), strict=True):
            layer.deploy(victim, stream)

    def admit(self, x: Array, account: str) -> Mask:
        """Show a layer only what the layers before it admitted."""
        admitted = np.ones(len(x), dtype=bool)
        for layer in self._all:
            admitted[admitted] = layer.admit(x[admitted], account)
        return admitted

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Pass the reply through the layers; a row that one withholds stays withheld."""
        for layer in self._all:
            withheld = reply.refused
            reply = layer.respond(x, reply, account)
            if withheld is not None:  # by an earlier layer; this one may have made a new reply
                reply = reply.refuse(withheld)
        return reply

    def wait(self, n: int, account: str) -> float:
        """Add the layers' waits up."""
        return sum(layer.wait(n, account) for layer in self._all)

    @property
    def label_preserving(self) -> bool:  # type: ignore[override]
        """Whether every layer is."""
        return all(layer.label_preserving for layer in self._all)

    @property
    def shared(self) -> bool:  # type: ignore[override]
        """Whether any layer is."""
        return any(layer.shared for layer in self._all)

    @property
    def confidences(self) -> bool:
        """Whether every layer leaves them in."""
        return all(layer.confidences for layer in self._all)

    @property
    def partial(self) -> bool:
        """Whether every layer lets them through."""
        return all(layer.partial for layer in self._all)

    @property
    def alarms(self) -> Mapping[str, int]:
        """The first alarm of any layer, per account."""
        first: dict[str, int] = {}
        for layer in self._all:
            for account, queries in layer.alarms.items():
                first[account] = min(queries, first.get(account, queries))
        return first

    @property
    def stages(self) -> frozenset[str]:
        """Of all layers."""
        return frozenset().union(*(layer.stages for layer in self._all))

    @property
    def noise(self) -> NoiseModel | None:
        """Of the one layer that has any; of several, fresh where any is."""
        noises = [layer.noise for layer in self._all if layer.noise is not None]
        if len(noises) < 2:
            return next(iter(noises), None)
        return NoiseModel("fresh" if any(n.mode == "fresh" for n in noises) else "keyed")

    @property
    def snap(self) -> float:
        """Of the layer with the coarsest grid."""
        return max((layer.snap for layer in self._all), default=0.0)

    @property
    def marks(self) -> Marks | None:
        """Of the first layer that plants any."""
        return next((layer.marks for layer in self._all if layer.marks is not None), None)

    @property
    def monitors(self) -> Sequence[Monitor]:
        """Of all layers, in order."""
        return tuple(monitor for layer in self._all for monitor in layer.monitors)

    @property
    def _all(self) -> Sequence[Defense]:
        return tuple(self.layers.values())


def order_problems(layers: Mapping[str, Defense]) -> list[str]:
    """Name each layer that acts on what a later stage has already done, in a line each."""
    problems, highest = [], ("", 0)
    for name, layer in layers.items():
        stage = STAGES.index(layer.stage)
        if stage < highest[1]:
            problems.append(
                f"defense order: {name} ({layer.stage}) comes after {highest[0]} "
                f"({STAGES[highest[1]]}); the usual order is {', then '.join(STAGES)}"
            )
        else:
            highest = (name, stage)
    return problems

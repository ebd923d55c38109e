"""Several defenses one behind another, which clients meet as one."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from moatbench.defense import Defense, responded
from moatbench.monitor import Monitor
from moatbench.reply import Reply
from moatbench.traits import Traits, together
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim


class Stack(Defense):
    """Several defenses as one: asked to admit, and to respond, in the given order."""

    def __init__(self, layers: Mapping[str, Defense]) -> None:
        self._layers, self._all = dict(layers), tuple(layers.values())

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
            reply = responded(layer, x, reply, account)
            if withheld is not None:  # by an earlier layer; this one may have made a new reply
                reply = reply.refuse(withheld)
        return reply

    def wait(self, n: int, account: str) -> float:
        """Add the layers' waits up."""
        return sum(layer.wait(n, account) for layer in self._all)

    @property
    def traits(self) -> Traits:
        """Of all layers, added up."""
        return together(layer.traits for layer in self._all)

    def parts(self) -> Iterator[Defense]:
        """Yield the parts of each layer."""
        for layer in self._all:
            yield from layer.parts()

    @property
    def layers(self) -> Mapping[str, Defense]:
        """What it is made of, by name and in order."""
        return self._layers

    @property
    def monitors(self) -> Sequence[Monitor]:
        """Of all layers, in order."""
        return tuple(monitor for layer in self._all for monitor in layer.monitors)

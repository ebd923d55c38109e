"""The deployed defense as a service asks it: with answers that are known, and a past replayed."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice

import numpy as np

from moatbench.api import Deployment
from moatbench.defense import Defense
from moatbench.reply import Reply, concatenated
from moatbench.serving.watching import Watching
from moatbench.space import InputSpace
from moatbench.types import Array, Generator
from moatbench.victim import Victim

BLOCK = 64  # rows that the model is asked at once
CHUNK, TOGETHER = 1024, 64  # requests of the log: read at once, and met as one query
# A layer without memory that does such a thing decides by the row what the others are shown
BY_ROW = {"refuses", "truncates", "off_data", "other"}
Logged = tuple[str, float, Array, bytes | None]  # token, time, rows, the model's reply


class Served(Deployment):
    """A deployment that tells what the model replied, and takes replies that are known.

    Args:
        victim: the model.
        defense: what stands before it.
        rng: of its secrets.
        whole: whether blocks of rows are filled up before the model is asked; then an answer does
            not depend on who asks at the same time, even where the model's last bits do.

    Attributes:
        watching: what the owner sees.
        keeps: what the log must hold of each query: `none`, `counts` or `rows`.
    """

    def __init__(
        self, victim: Victim, defense: Defense, rng: Generator, *, whole: bool = True
    ) -> None:
        super().__init__(victim, defense, rng)
        self._whole = whole
        self.watching, self.keeps = Watching(defense), keeps(defense)
        self.varies = not _steady(victim)
        self._known: Reply | None = None
        self._places: dict[bytes, int] = {}
        self.replied: Reply | None = None  # to the rows of the last request that it was asked

    def predict(self, x: Array) -> Reply:
        """Return the model's reply, or the one that is known."""
        self.replied = self._recalled(x) or self._asked(x)
        return self.replied

    def _asked(self, x: Array) -> Reply:
        """Ask the model by the block: an answer does not depend on who asks at the same time."""
        n = len(x)
        if n < BLOCK and self._whole:
            return self._one_block(x)
        replies = []
        for start in range(0, n, BLOCK):
            block = x[start : start + BLOCK]
            if self._whole and len(block) < BLOCK:  # filled up with a row that is valid
                block = np.concatenate([block, np.repeat(block[:1], BLOCK - len(block), axis=0)])
            replies.append(super().predict(block))
        whole = replies[0] if len(replies) == 1 else concatenated(replies)
        return whole if n == len(whole) else whole.take(np.arange(len(whole)) < n)

    def _one_block(self, x: Array) -> Reply:
        """Ask fewer rows than a block."""
        n = len(x)
        block = np.empty((BLOCK, x.shape[1]))
        block[:n], block[n:] = x, x[0]  # filled up with a row that is valid
        told = super().predict(block)
        outputs = None if told.outputs is None else told.outputs[:n]
        return Reply(told.labels[:n], outputs, None if told.path is None else told.path[:n])

    def know(self, x: Array) -> None:
        """Ask the model rows (n, d) for the requests that come next, until it is to `forget`."""
        self._known = self._asked(x)
        self._places = {row.tobytes(): place for place, row in enumerate(x)}

    def forget(self) -> None:
        """Ask the model again, from here on."""
        self._known, self._places = None, {}

    def _recalled(self, x: Array) -> Reply | None:
        if self._known is None:
            return None
        places = [self._places.get(row.tobytes(), -1) for row in x]
        return None if -1 in places else self._known.take(np.array(places))

    def replay(self, log: Iterable[Logged]) -> int:
        """Meet again what was asked, in its order; return how many queries that was."""
        total, past = 0, iter(log)
        while chunk := list(islice(past, CHUNK)):
            for token, when, x, reply in self._together(chunk):
                self.watching.at = when
                if reply:  # of the rows that were admitted, each as it was asked
                    admitted = self.defense.admit(x, token)
                    if admitted.any():
                        self.defense.respond(x[admitted], unpacked(reply), token)
                    self.defense.wait(len(x), token)
                else:
                    self.serve(x, token)
                total += len(x)
        self.watching.at = None
        return total

    def _together(self, chunk: list[Logged]) -> Iterator[Logged]:
        """Put requests of one account together: how rows are batched makes no difference.

        Accounts change places, but where one's queries may change another's answers.
        """
        if self.varies:
            yield from chunk
            return
        if not self.defense.traits.shared:
            chunk = sorted(chunk, key=lambda one: one[0])  # stable
        for token, several in groupby(chunk, key=lambda one: one[0]):
            group = list(several)
            for start in range(0, len(group), TOGETHER):
                part = group[start : start + TOGETHER]
                yield token, part[-1][1], np.concatenate([one[2] for one in part]), None


def keeps(defense: Defense) -> str:
    """Say what must be kept of each query for the past to be met again.

    Of a defense that says nothing of itself, all. Counts are enough where nothing depends on the
    row: not behind a layer that refuses some.
    """
    traits = defense.traits
    if traits.memory == "none":
        return "rows" if "other" in traits.kinds else "none"
    others = [layer.traits for layer in defense.layers.values() if layer.traits.memory == "none"]
    by_row = traits.shared or any(said.kinds & BY_ROW for said in others)
    return "rows" if by_row else traits.memory


def recount(deployment: Deployment, token: str, queries: int) -> None:
    """Have a deployment meet so many queries of an account, where a count is all that is kept."""
    row = deployment.victim.space.sample(1, np.random.default_rng(0))
    for start in range(0, queries, CHUNK):
        deployment.serve(np.repeat(row, min(CHUNK, queries - start), axis=0), token)


def packed(reply: Reply | None) -> bytes:
    """Write a reply as bytes; b'' where the model was not asked."""
    if reply is None or not len(reply):
        return b""
    outputs = np.empty((len(reply), 0)) if reply.outputs is None else reply.outputs
    return np.hstack([reply.labels[:, None].astype(np.float64), outputs]).tobytes() + bytes(
        [outputs.shape[1] % 256, outputs.shape[1] // 256]
    )


def unpacked(data: bytes) -> Reply:
    """Read what `packed` wrote."""
    k = data[-2] + 256 * data[-1]
    both = np.frombuffer(data[:-2], np.float64).reshape(-1, 1 + k)
    return Reply(both[:, 0].astype(np.int64), both[:, 1:] if k else None)


def _steady(victim: Victim) -> bool:
    """Whether the model answers the same rows the same."""
    x = sample(victim.space)
    one, two = victim.predict(x), victim.predict(x)
    same = np.array_equal(one.labels, two.labels)
    if one.outputs is None or two.outputs is None:
        return same
    return same and np.array_equal(one.outputs, two.outputs, equal_nan=True)


def sample(space: InputSpace) -> Array:
    """(10, d) rows to try a model on."""
    return space.sample(10, np.random.default_rng(0))

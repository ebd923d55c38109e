"""A model as a victim answers with it: in blocks of one size, and each row once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from moatbench.formats.answers import Form, require_rows
from moatbench.formats.model import Model, Names
from moatbench.formats.opened import opened
from moatbench.models.forward import BLOCK
from moatbench.reply import Reply, concatenated
from moatbench.types import Array

MOST_ROWS = 2**20  # remembered; then it begins anew


class Source(Protocol):
    """Where a model comes from."""

    def open(self) -> Model:
        """Return the model."""


@dataclass(frozen=True)
class File:
    """A model that lies in a file; its arguments are those of `opened`."""

    path: str
    names: Names
    kind: str | None = None
    trusted: tuple[str, ...] = ()
    trust: bool = False

    def open(self) -> Model:
        """Open the file."""
        return opened(Path(self.path), self.names, **self.how)

    @property
    def how(self) -> dict[str, Any]:
        """What `opened` is told beside the path and the names."""
        return {"kind": self.kind, "trusted": self.trusted, "trust": self.trust}


@dataclass(frozen=True)
class Held:
    """A model that is in memory already."""

    model: Model

    def open(self) -> Model:
        """Return it."""
        return self.model


@dataclass
class Served:
    """Answers an API's rows with a model.

    The model is asked rows by the block, so that an answer does not depend on who asks at the same
    time; and of equal rows only the first, which saves most of what a run asks.

    Args:
        source: of the model, which is opened when it is first asked.
        decode: turns rows (n, d) into what the model takes.
        form: how its answers are read.
        stochastic: whether its answers to a row vary: then each is asked anew.
    """

    source: Source
    decode: Callable[[Array], Any]
    form: Form
    stochastic: bool = False
    _model: Model | None = field(default=None, init=False, repr=False)
    _places: dict[bytes, int] = field(default_factory=dict, init=False, repr=False)
    _labels: list[int] = field(default_factory=list, init=False, repr=False)
    _outputs: list[Array] = field(default_factory=list, init=False, repr=False)

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        if self.stochastic:
            return self.ask(x)
        keys = [blake2b(row.tobytes(), digest_size=16).digest() for row in np.ascontiguousarray(x)]
        if len(self._places) > MOST_ROWS:
            self._places, self._labels, self._outputs = {}, [], []
        new = {key: row for row, key in enumerate(keys) if key not in self._places}
        if new:
            reply = self.ask(x[list(new.values())])
            self._places |= {key: len(self._labels) + i for i, key in enumerate(new)}
            self._labels += reply.labels.tolist()
            self._outputs += [] if reply.outputs is None else list(reply.outputs)
        places = [self._places[key] for key in keys]
        labels = np.array([self._labels[place] for place in places], dtype=np.int64)
        if not self.form.order:
            return Reply(labels)
        told = [self._outputs[place] for place in places]
        return Reply(labels, np.array(told).reshape(len(x), len(self.form.order)))

    def ask(self, x: Array) -> Reply:
        """Ask the model these rows, whatever it was asked before."""
        replies = [self.form.reply(raw) for raw in self.raw(x)]
        reply = concatenated(replies)
        return reply.take(np.arange(len(reply)) < len(x))  # without what filled up the last block

    def raw(self, x: Array) -> Iterator[Any]:
        """Yield the model's own answers to each block of rows.

        Raises:
            ValueError: it raised something at one of them, or does not answer each.
        """
        for block in filled_blocks(x):
            try:
                with np.errstate():  # what it sets for all of numpy is its own
                    raw = self.model.ask(self.decode(block))
            except Exception as error:  # of whatever kind somebody's model raises
                line = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
                if line.startswith("the model "):
                    raise
                raise ValueError(
                    "the model must answer every row within the ranges and names of the data, got "
                    f"{type(error).__name__}: {line:.300}; try it on the data it is served with"
                ) from error
            require_rows(raw, len(block))
            yield raw

    @property
    def model(self) -> Model:
        """The model, opened."""
        if self._model is None:
            self._model = self.source.open()
        return self._model


def filled_blocks(x: Array) -> Iterator[Array]:
    """Yield rows by the block; the last is filled up with its first row, which is a valid one."""
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        if len(block) < BLOCK:
            block = np.concatenate([block, np.repeat(block[:1], BLOCK - len(block), axis=0)])
        yield block


def gathered(raws: Sequence[Any]) -> Any:
    """Return answers to several blocks as those to one."""
    if isinstance(raws[0], list | tuple):
        return [row for raw in raws for row in raw]
    if hasattr(raws[0], "columns"):
        import pandas as pd

        return pd.concat(raws)
    if hasattr(raws[0], "detach"):
        import torch

        return torch.cat([raw.detach().cpu() for raw in raws])
    return np.concatenate([np.asarray(raw) for raw in raws])

"""Inputs to judge on, and how far a surrogate's answers to them are from the victim's."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from moatbench.client import Surrogate
from moatbench.judge.checked import CHUNK, answers, answers_in_pieces
from moatbench.record.columns import SAMPLES
from moatbench.reply import Reply
from moatbench.types import Array
from moatbench.victim import WIDE, Victim

CELLS = 2**19  # confidences of a piece: 4 MB
FIRST = 100  # rows whose whole answers are kept in any case


@dataclass(frozen=True)
class Sample:
    """Inputs to judge on, with the *undefended* victim's answers to them.

    Args:
        name: test, uniform or cube.
        x: (n, d) inputs.
        truth: the answers; of a wide victim the labels alone.
        first: whole answers to the first `FIRST` rows.
    """

    name: str
    x: Array
    truth: Reply
    first: Reply


class Heard(NamedTuple):
    """What a surrogate answers to a sample, as whole as the truth is, and the total variation."""

    reply: Reply
    variation: float


def tested(victim: Victim) -> Sample:
    """Return the test data, which the victim was asked when it was made."""
    x, truth = victim.shares.x_test, victim.tested
    wide = len(victim.classes) > WIDE
    first = victim.predict(x[:FIRST]) if wide else truth.take(np.arange(len(x)) < FIRST)
    return Sample("test", x, truth, first)


def sample_of(victim: Victim, name: str, x: Array) -> Sample:
    """Ask the victim; of one with more than `WIDE` classes keep the labels alone.

    Answers of fewer are compared whole, of more piece by piece.
    """
    if len(victim.classes) <= WIDE:
        truth = victim.predict(x)
        return Sample(name, x, truth, truth.take(np.arange(len(x)) < FIRST))
    size = piece(victim)
    labels = [victim.predict(x[at : at + size]).labels for at in range(0, len(x), size)]
    truth = Reply(np.concatenate([*labels, np.empty(0, np.int64)]), None)
    return Sample(name, x, truth, victim.predict(x[:FIRST]))


def heard(surrogate: Surrogate, sample: Sample, victim: Victim) -> Heard:
    """Ask a surrogate for a sample, and compare.

    A wide victim is asked again, piece by piece: 4,096 confidences of 10,000 rows are 330 MB.
    """
    where = SAMPLES[sample.name]
    if len(victim.classes) <= WIDE:
        reply = answers(surrogate, sample.x, where, victim)
        return Heard(reply, total_variation(reply.outputs, sample.truth.outputs))
    size, labels, total, at = piece(victim), [np.empty(0, np.int64)], 0.0, 0
    for part in answers_in_pieces(surrogate, sample.x, where, victim, size):
        labels.append(part.labels)
        truth = victim.predict(sample.x[at : at + size])
        total += len(part) * total_variation(part.outputs, truth.outputs)
        at += len(part)
    return Heard(Reply(np.concatenate(labels), None), total / max(1, at))


def piece(victim: Victim) -> int:
    """Rows of a wide victim that are compared at once."""
    return min(CHUNK, max(1, CELLS // len(victim.classes)))


def total_variation(outputs: Array | None, truth: Array | None) -> float:
    """Mean over the rows of half the L1 distance between two distributions, in [0, 1]."""
    if outputs is None or truth is None:
        return float("nan")
    return float(0.5 * np.abs(outputs - truth).sum(axis=1).mean())

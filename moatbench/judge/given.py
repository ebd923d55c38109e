"""What a defense is given of a victim, and what it gives: neither may bend the judge's numbers."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from math import isfinite

import numpy as np

from moatbench.client import Answers
from moatbench.victim import Victim


class BrokenDefense(RuntimeError):
    """A defense did not keep its side of the contract."""


def to_defend(victim: Victim) -> Victim:
    """Return what the owner of a model has: the model, its training data, and no row of others.

    A defense that knew the rows which customers are going to ask could spare these alone. What it
    changes of this copy changes nothing for the judge.
    """
    shares, nothing = victim.shares, np.empty((0, victim.space.d))
    kept = replace(
        shares,
        y_train=shares.y_train.copy(),
        pool=nothing,
        x_test=nothing,
        y_test=shares.y_test[:0].copy(),
        y_pool=None,
        test_rows=None,
    )
    other = copy(victim)
    object.__setattr__(other, "shares", kept)  # not `replace`, which asks the model again
    object.__setattr__(other, "tested", victim.tested.take(np.zeros(len(victim.tested), bool)))
    return other


def answers_of(part: Answers, n: int, classes: int) -> Answers:
    """Return what a defense answered to n rows; `part.rows` are those that it gave an answer.

    Raises:
        BrokenDefense: these are no n rows, labels are no class indices, or outputs no numbers; a
            NaN in a row leaves it with the label alone.
    """
    rows, labels, outputs = part.rows, part.labels, part.outputs
    m = len(rows)
    if m and rows[-1] >= n:
        raise BrokenDefense(f"admit must return a mask of shape ({n},), got one of {rows[-1] + 1}")
    if not _is(labels, "iu", (m,)) or (m and not 0 <= labels.min() <= labels.max() < classes):
        raise BrokenDefense(
            f"respond must return labels of shape ({m},) in 0..{classes - 1}, got {labels!r:.80}"
        )
    if outputs is not None and (not _is(outputs, "f", (m, classes)) or np.isinf(outputs).any()):
        raise BrokenDefense(
            f"respond must return outputs of shape ({m}, {classes}), finite numbers or NaN, got "
            f"{outputs!r:.120}"
        )
    # A defense that keeps its arrays could change what it told
    return part._replace(labels=labels.copy(), outputs=None if outputs is None else outputs.copy())


def seconds_of(waited: object) -> float:
    """Return the seconds that a defense lets wait; raise BrokenDefense unless there are any."""
    if not isinstance(waited, int | float | np.number) or not (isfinite(waited) and waited >= 0):
        raise BrokenDefense(f"wait must return seconds of at least 0, got {waited!r:.80}")
    return float(waited)


def check_alarms(alarms: Mapping[str, int], asked: Mapping[str, int]) -> None:
    """Raise BrokenDefense unless each alarm came at one of the account's queries so far."""
    for account, query in alarms.items():
        most = asked.get(account, 0)
        if not 1 <= query <= most:
            raise BrokenDefense(
                f"evidence must give an alarm the number of queries at which it came, of {most} "
                f"that {account!r:.40} asked, got {query!r:.40}"
            )


def _is(array: object, kinds: str, shape: tuple[int, ...]) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in kinds and array.shape == shape

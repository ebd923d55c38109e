"""What a surrogate answers is checked before it is scored: a broken one is no low score."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from moatbench.client import Surrogate
from moatbench.reply import Reply, concatenated
from moatbench.types import Array
from moatbench.victim import SIMPLEX_TOLERANCE, Victim, reply_problem

MOST_NOTE = 20_000  # letters: a cell of curve.csv that can be read again
MOST_NAME = 200  # letters, of an array that was recovered: it is a file's within recovered.npz
CHUNK = 4096  # rows asked at once, to keep memory flat for kernel surrogates


class BrokenAttack(RuntimeError):
    """An attack did not keep its side of the contract."""


def checked(surrogate: object) -> Surrogate:
    """Return what an attack yielded, or raise BrokenAttack unless its fields are what they say."""
    if not isinstance(surrogate, Surrogate):
        got = type(surrogate).__name__
        raise BrokenAttack(f"an attack must yield a Surrogate, got {got}; wrap its predict in one")
    named = surrogate.parameters
    arrays = isinstance(named, Mapping) and all(
        isinstance(name, str) and isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        for name, value in named.items()
    )
    wrong = {
        "predict must be a function of rows (n, d)": not callable(surrogate.predict),
        "parameters must be arrays of numbers by name": not arrays,
        f"parameters must have printable names of 1 to {MOST_NAME} letters, without / and no .npy "
        "at the end": arrays and not all(map(_is_name, named)),
        "converged must be true or false": not isinstance(surrogate.converged, bool | np.bool_),
        "begun must be true or false": not isinstance(surrogate.begun, bool | np.bool_),
        "doubled must be a function, or None": not (
            surrogate.doubled is None or callable(surrogate.doubled)
        ),
        "note must be a text": not isinstance(surrogate.note, str),
    }
    for rule, broken in wrong.items():
        if broken:
            got = getattr(surrogate, rule.partition(" ")[0])
            raise BrokenAttack(f"the surrogate's {rule}, got {got!r:.80}")
    return replace(surrogate, note=surrogate.note[:MOST_NOTE])


def _is_name(name: str) -> bool:
    """Whether an array of this name can be told from others in recovered.npz."""
    plain = name.isprintable() and "/" not in name and not name.endswith(".npy")
    return plain and 1 <= len(name) <= MOST_NAME


def answers(surrogate: Surrogate, x: Array, where: str, victim: Victim) -> Reply:
    """Ask a surrogate in pieces, and return labels and outputs that are nobody's but the judge's.

    Its labels and its confidences are scored apart, fidelity by the one and total variation by the
    other, so they may disagree. Outputs may be a label's alone (None), for all rows or for none.

    Args:
        surrogate: to be judged.
        x: (n, d) inputs that it must not write to.
        where: they are from, in words.
        victim: whose surrogate it says it is.

    Raises:
        BrokenAttack: labels are no (n,) class indices, or outputs no (n, k) probabilities, within
            `SIMPLEX_TOLERANCE`; of a regression victim, no finite values.
    """
    return concatenated(list(answers_in_pieces(surrogate, x, where, victim, CHUNK)))


def answers_in_pieces(
    surrogate: Surrogate, x: Array, where: str, victim: Victim, size: int
) -> Iterator[Reply]:
    """Yield what `answers` does, for so many rows at once."""
    x = x.view()
    x.flags.writeable = False
    bare: bool | None = None
    for at in range(0, len(x), size):
        reply = _answer(surrogate, x[at : at + size], where, victim)
        if bare not in (None, reply.outputs is None):
            raise BrokenAttack(
                f"on {where}, the surrogate's outputs must be given to every row or to none, got "
                "some batches without; answer rows alike, whatever stands beside them"
            )
        bare = reply.outputs is None
        yield reply


def _answer(surrogate: Surrogate, x: Array, where: str, victim: Victim) -> Reply:
    try:
        reply = surrogate.predict(x)
    except SystemExit as left:  # it would end the sweep without a word
        raise BrokenAttack(
            f"on {where}, the surrogate called sys.exit({left.code!r}); let it raise"
        ) from left
    if isinstance(reply, Reply):  # what is read now is checked and scored, read no second time
        reply = Reply(reply.labels, reply.outputs)
    k, least = len(victim.classes), -SIMPLEX_TOLERANCE
    if problem := reply_problem(reply, len(x), k, full=victim.full, least=least):
        raise BrokenAttack(f"on {where}, the surrogate's {problem}")
    outputs = None if reply.outputs is None else np.array(reply.outputs, np.float64)
    return Reply(np.array(reply.labels, np.int64), outputs)

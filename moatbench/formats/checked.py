"""What a model must be to be measured: the same row, the same answer, whatever stands beside it."""

import numpy as np

from moatbench.formats.served import Served
from moatbench.reply import Reply
from moatbench.types import Array

ROWS = 64  # that are asked again
CLOSE = 1e-6  # how far outputs may differ by the size of a batch: libraries round otherwise
VARIES = "where that is meant, say victim.stochastic=true, and the run is flagged"


def agreement(served: Served, x: Array) -> float:
    """Share of rows that get the label again when they are asked twice; 1 for most models.

    Args:
        served: the model.
        x: (n, d) rows, of which the first are asked.
    """
    once, again = served.ask(x[:ROWS]), served.ask(x[:ROWS])
    return float((once.labels == again.labels).mean())


def require_steady(served: Served, x: Array) -> None:
    """Refuse a model whose answer to a row changes from call to call, or with the rows beside it.

    Args:
        served: the model.
        x: (n, d) rows, of which the first are asked: twice, in reverse order, and by themselves.

    Raises:
        ValueError: says which, and how far the answers lie apart.
    """
    x = x[:ROWS]
    once = served.ask(x)
    if (gap := _gap(once, served.ask(x))) > 0:
        raise ValueError(
            "the model must answer a row alike each time, got answers to the same rows that "
            f"differ by up to {gap:.3g}; switch off what is random in it (model.eval() switches "
            f"off dropout), or {VARIES}"
        )
    backwards = served.ask(x[::-1])
    if (gap := _gap(once, backwards.take(np.arange(len(x))[::-1]))) > CLOSE:  # type: ignore[arg-type]
        raise _batches(gap)
    try:
        singly = served.form.reply(served.model.ask(served.decode(x[:1])))
    except Exception as error:  # of whatever kind the model raises
        raise ValueError(
            f"the model must answer a single row as well as many, got {type(error).__name__}: "
            f"{error}; let predict_proba take frames or arrays of any number of rows"
        ) from error
    if (gap := _gap(once.take(np.arange(len(x)) < 1), singly)) > CLOSE:
        raise _batches(gap)


def _batches(gap: float) -> ValueError:
    return ValueError(
        "the model must answer a row alike whatever rows are asked with it, got answers that "
        f"differ by up to {gap:.3g}; switch off what learns from the batch (model.eval() stops "
        f"batch normalisation), or {VARIES}"
    )


def _gap(one: Reply, other: Reply) -> float:
    """How far two answers lie apart: the largest difference of outputs, 1 for other labels."""
    if one.outputs is None or other.outputs is None:
        return float((one.labels != other.labels).any())
    return float(np.abs(one.outputs - other.outputs).max(initial=0.0))

"""Your own model: a scikit-learn model saved with skops, or any object with predict_proba."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from moatbench.data import Dataset, Encoding
from moatbench.models.forward import blocks
from moatbench.reply import Reply, from_outputs
from moatbench.types import Array, Generator, Rows
from moatbench.victim import Shares, Victim


def skops_model(
    data: Dataset,
    rng: Generator,
    path: str,
    trusted: Sequence[str] = (),
    family: str | None = None,
    encoding: Encoding = "one_hot",
    name: str | None = None,
) -> Victim:
    """Load a scikit-learn model from a skops file.

    Args:
        data: what the model was trained for, in the same order of columns and classes.
        rng: draws the shares.
        path: of the file.
        trusted: types in the file that you vouch for; skops names those that it does not know.
        family: what the API's card says of the model; None publishes nothing.
        encoding: one_hot or codes, as the model takes categorical features.
        name: of the model, for people; None is that of its file or class.
    """
    import skops.io

    if not Path(path).is_file():
        raise ValueError(
            f"victim.path must be a file, got {path}, where there is none; save one with "
            "skops.io.dump"
        )
    try:
        types = skops.io.get_untrusted_types(file=path)
    except (BadZipFile, KeyError) as error:
        raise ValueError(
            f"victim.path must be a file of skops, got {path} ({error}); save it with skops.io.dump"
        ) from error
    unknown = sorted(set(types) - set(trusted))
    if unknown:
        raise ValueError(
            f"victim.path must hold trusted types only, got {', '.join(unknown)} in {path}; if the "
            f"file is yours, vouch for them with 'victim.trusted=[{','.join(unknown)}]'"
        )
    return own_model(data, rng, skops.io.load(path, trusted=list(trusted)), family, encoding, name)


def own_model(
    data: Dataset,
    rng: Generator,
    model: Any,
    family: str | None = None,
    encoding: Encoding = "one_hot",
    name: str | None = None,
) -> Victim:
    """Adapt any object with predict_proba, and `classes_` unless its classes are 0..k-1 in order.

    Raises:
        ValueError: no predict_proba, another number of columns, classes that the data lack.
    """
    if not hasattr(model, "predict_proba"):
        raise ValueError(
            "victim.model must have predict_proba, which answers (n, d) rows with (n, k) "
            f"probabilities, got a {type(model).__name__} without"
        )
    shares = data.shares(rng, encoding)
    wanted = getattr(model, "n_features_in_", shares.space.d)
    if wanted != shares.space.d:
        raise ValueError(
            f"the model{f' {name}' if name else ''} must take {shares.space.d} columns, as "
            f"{data.table.name} encoded as {encoding} has, got {wanted}; choose the data it was "
            "trained on, or victim.encoding"
        )
    order = _class_order(model, shares)

    def predict(x: Array) -> Reply:
        # One size of batch, so that an answer does not depend on who asks at the same time
        parts = [np.asarray(model.predict_proba(block), dtype=np.float64) for block in blocks(x)]
        outputs = np.concatenate(parts)[: len(x)] if parts else np.empty((0, len(order)))
        return from_outputs(outputs[:, order])

    return Victim(shares, predict, family)


def _class_order(model: Any, shares: Shares) -> Rows:
    """Say which of the model's outputs belongs to each of the data's classes."""
    k = len(shares.classes)
    given = [str(c) for c in getattr(model, "classes_", range(k))]
    for names in (list(shares.classes), [str(i) for i in range(k)]):
        if sorted(given) == sorted(names):
            return np.array([given.index(name) for name in names], dtype=np.intp)
    raise ValueError(
        f"the model's classes must be the data's ({', '.join(shares.classes)}) or 0 to {k - 1}, "
        f"got {', '.join(given)}"
    )

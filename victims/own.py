"""Your own model: a scikit-learn model saved with skops, or any object with predict_proba."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from moatbench.data import Dataset
from moatbench.models import forward
from moatbench.reply import Reply, from_outputs
from moatbench.types import Array, Generator
from moatbench.victim import Victim
from moatbench.victims.asking import OwnEncoding, asked, class_order


def skops_model(
    data: Dataset,
    rng: Generator,
    path: str,
    trusted: Sequence[str] = (),
    family: str | None = None,
    encoding: OwnEncoding | None = None,
    name: str | None = None,
) -> Victim:
    """Load a scikit-learn model from a skops file.

    Args:
        data: what the model was trained for.
        rng: draws the shares.
        path: of the file.
        trusted: types in the file that you vouch for; skops names those that it does not know.
        family: what the API's card says of the model; None publishes nothing.
        encoding: frame, one_hot, codes or scaled; None is what suits the model, see `asked`.
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
    encoding: OwnEncoding | None = None,
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
    found = asked(model, model.predict_proba, data, rng, encoding)
    order = class_order(model, found.shares.classes)

    def predict(x: Array) -> Reply:
        # One size of batch, so that an answer does not depend on who asks at the same time
        # and filled up with a row that somebody asks, not with zeros that nobody might
        full = np.concatenate([x, np.repeat(x[-1:], -len(x) % forward.BLOCK, axis=0)])
        parts = [_told(model, found.inputs(block)) for block in forward.blocks(full)]
        outputs = np.concatenate(parts)[: len(x)] if parts else np.empty((0, len(order)))
        return from_outputs(outputs[:, order])

    return Victim(found.shares, predict, family)


def _told(model: Any, inputs: Any) -> Array:
    return np.asarray(model.predict_proba(inputs), dtype=np.float64)

"""What answers are worth to the customer who gets them, beside the undefended victim's."""

import numpy as np

from moatbench.record.columns import MEASURES
from moatbench.reply import Reply, has_outputs
from moatbench.types import Array, Labels, Mask

UNKNOWN = dict.fromkeys(MEASURES, float("nan"))


def quality(told: Reply, clean: Reply, y: Labels, k: int) -> dict[str, float]:
    """Compare answers to n rows with the truth; what cannot be measured is NaN.

    Args:
        told: what customers were told; a row of NaN outputs is a label alone.
        clean: the undefended victim's answers to the same rows.
        y: (n,) the true classes.
        k: classes; 1 is regression, whose distances are in units of the target.

    Two labels are told: the one of the answer, and the class of the top confidence, which is the
    victim's where no class has more; so a tie that the victim's label shares is none broken. Only
    rows count that came with confidences, and whose label the victim itself is surest of.
    """
    if not len(y):
        return UNKNOWN
    kept = told.labels == clean.labels
    labels = {
        "label_agreement": float(np.mean(kept)),
        "accuracy_lost": float(np.mean(clean.labels == y) - np.mean(told.labels == y)),
    }
    if k > 1:
        labels["worst_class_agreement"] = min(float(np.mean(kept[y == c])) for c in np.unique(y))
    if clean.outputs is None:
        return UNKNOWN | labels
    given = np.zeros(len(y), bool) if told.outputs is None else has_outputs(told.outputs)
    if k == 1:
        gap = np.empty(0) if told.outputs is None else np.abs(told.outputs - clean.outputs)[given]
        return UNKNOWN | labels | {"accuracy_lost": float("nan")} | _distances(gap)
    # To a customer, an answer without confidences is certainty in its label.
    seen = np.eye(k)[told.labels]
    if told.outputs is not None:
        seen[given] = told.outputs[given]
        if len(sure := np.flatnonzero(given & is_top(clean.outputs, clean.labels))):
            top = is_top(told.outputs[sure], clean.labels[sure])
            labels["top_agreement"] = float(np.mean(top))
    calibration = {"ece_undefended": expected_calibration_error(clean.outputs, y)}
    if given.any():
        calibration["ece"] = expected_calibration_error(seen[given], y[given])
    return UNKNOWN | labels | _distances(np.abs(seen - clean.outputs).sum(axis=1)) | calibration


def is_top(outputs: Array, labels: Labels) -> Mask:
    """(n,) whether no class has more confidence than the label; one that shares the top is on it.

    A row of NaN says nothing against its label, and is True.
    """
    own = np.take_along_axis(outputs, labels[:, None], axis=1)
    return np.asarray(~(outputs > own).any(axis=1))


def _distances(l1: Array) -> dict[str, float]:
    """Sum the distances up; the 99th percentile lies between two of them, as NumPy's does."""
    if not l1.size:
        return {}
    return {
        "l1_mean": float(l1.mean()),
        "l1_p99": float(np.quantile(l1, 0.99)),
        "l1_max": float(l1.max()),
    }


def expected_calibration_error(outputs: Array, y: Labels, bins: int = 15) -> float:
    """Gap between confidence and accuracy, averaged over equal bins of the top confidence.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    confidence, hit = outputs.max(axis=1), outputs.argmax(axis=1) == y
    place = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gap = np.bincount(place, weights=hit - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(y))

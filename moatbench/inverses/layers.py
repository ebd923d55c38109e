"""The inverse of a whole defense, from those of its layers."""

from collections.abc import Callable

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.coarse import gridded
from moatbench.inverses.origins import Origins
from moatbench.types import Array

SILENT = frozenset({"withholds", "moves_inputs", "watches", "refuses", "costs", "remembers"})
CLOSE = 1e-6  # of 1, which the confidences of a true answer add up to

Inverse = Callable[[Origins, Array | None], Origins]  # from what was told, and a guess (n, k)


def inverse_of(defense: Defense) -> Inverse | None:
    """Return what undoes a defense, the last layer first; None where a layer has no inverse.

    A layer needs none of its own that leaves confidences alone or out, or moves them to a grid that
    it tells of. A guess of the true answers is of use to the layer that met these.
    """
    touching = _touching(defense)
    if without_inverse(defense):
        return None

    def inverse(told: Origins, guess: Array | None) -> Origins:
        told = _valid(told)
        for place, layer in reversed(list(enumerate(touching))):
            if layer.traits.stage == "perturb":  # what it tells adds up to 1
                told = _whole(told)
            if hasattr(layer, "inverse"):
                told = _undone(layer, told, guess if place == 0 else None)
                if place and not layer.traits.keeps_labels:
                    told = told.by_label()
            elif (said := layer.traits.answer_grid) is not None:
                told = gridded(told, said)
        told = _whole(told)
        return _led(told) if defense.traits.keeps_labels else told

    return inverse


def _undone(layer: Defense, told: Origins, guess: Array | None) -> Origins:
    """Ask a layer, which may be a stranger's, for the origins of what it told.

    Raises:
        RuntimeError: it fails, or returns something else; the message names the layer.
    """
    name = f"{type(layer).__name__}.inverse"
    try:
        undone = layer.inverse(told, guess)  # type: ignore[attr-defined]
    except Exception as error:  # of whatever kind somebody's part raises
        line = (str(error).strip().splitlines() or ["no message"])[0]
        raise RuntimeError(f"{name} raised {type(error).__name__}: {line}") from error
    if not isinstance(undone, Origins):
        raise RuntimeError(f"{name} must return Origins (docs/architecture.md), got {undone!r:.60}")
    return undone


def without_inverse(defense: Defense) -> list[str]:
    """Return the names of the layers that an inverse would be needed of, and have none."""
    return [
        type(layer).__name__
        for layer in _touching(defense)
        if not (hasattr(layer, "inverse") or _grid_alone(layer))
    ]


def _touching(defense: Defense) -> list[Defense]:
    """Return the layers that may move confidences."""
    return [layer for layer in defense.layers.values() if layer.traits.kinds - SILENT]


def _grid_alone(layer: Defense) -> bool:
    return layer.traits.kinds == {"quantises"} and layer.traits.answer_grid is not None


def _valid(told: Origins) -> Origins:
    """Leave out what is no answer of any defense: not finite, negative, or above 1."""
    least, most = told.low.min(axis=1, initial=0.0), told.high.max(axis=1, initial=0.0)
    return told.take(np.asarray((least >= -CLOSE) & (most <= 1 + CLOSE)))


def _led(told: Origins) -> Origins:
    """Leave out what would have another label than was told, where that is the model's."""
    own = told.high[np.arange(len(told.rows)), told.labels]
    return told.take(np.asarray(own >= told.low.max(axis=1, initial=0.0) - CLOSE))


def _whole(origins: Origins) -> Origins:
    """Leave out what cannot add up to 1."""
    least, most = origins.low.sum(axis=1), origins.high.sum(axis=1)
    return origins.take(np.asarray((least <= 1 + CLOSE) & (most >= 1 - CLOSE)))

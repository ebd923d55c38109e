"""Recipes of training by name: ours, and those of papers, as their authors' code has them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from moatbench.knobs import check_choice
from moatbench.learners.training import Recipe

_SGD = Recipe(steps=0, optimiser="sgd")
RECIPES = {
    "ours": Recipe(),
    # Tang et al. 2024 (USENIX Security): the thief's, of its code at the commit of 2023-11
    "modelguard": replace(
        _SGD, epochs=30, batch=128, rate=0.1, momentum=0.5, schedule="step", every=10, fall=0.5
    ),
    # Mazeika et al. 2022 (ICML), "How to Steer Your Adversary"
    "grad2": replace(
        _SGD, epochs=50, batch=128, rate=0.1, nesterov=True, decay=5e-4, schedule="cosine"
    ),
    # Orekondy et al. 2019 (CVPR)
    "knockoff": replace(
        _SGD, epochs=200, batch=64, rate=0.01, momentum=0.5, schedule="step", every=60, fall=0.1
    ),
}


def recipe(name: str, changes: Mapping[str, Any], where: str) -> Recipe:
    """Return a recipe by name, with some of its fields changed.

    Args:
        name: of `RECIPES`.
        changes: fields of `Recipe`.
        where: the name and the changes stand in the config, for messages.

    Raises:
        ValueError: there is no such recipe or field, or a value is out of range.
    """
    check_choice(f"{where}.recipe", name, tuple(RECIPES))
    known = [field.name for field in fields(Recipe)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"{where}.training must hold {', '.join(known)}, got {', '.join(unknown)}")
    return replace(RECIPES[name], **changes)

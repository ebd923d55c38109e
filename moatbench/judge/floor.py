"""What an attacker has who never asks the API: only what is gained above it was extracted."""

from collections.abc import Mapping

import numpy as np

from moatbench.client import Card, Surrogate
from moatbench.learners.published import PUBLISHED, learner_for
from moatbench.types import Array, Generator
from moatbench.victim import Victim


def best_constant(answers: Array) -> float:
    """Share of the most common of the victim's answers (n,): no constant agrees with more."""
    return float(np.unique(answers, return_counts=True)[1].max() / len(answers))


def at_least(scores: Mapping[str, float], constant: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of a model that gives way to the constant answer where that is better.

    Far from the data a trained model may know less than nothing; who knows labels knows more than
    who does not, and must never leave more to be gained.
    """
    return {**scores, **{name: max(scores[name], value) for name, value in constant.items()}}


def trained_on_pool(victim: Victim, rng: Generator) -> Surrogate:
    """Train what an attacker can who knows the true labels of its pool, and asks nothing.

    Raises:
        ValueError: the pool is empty or its labels are not known, or the victim answers values.
    """
    shares = victim.shares
    if shares.y_pool is None or not len(shares.pool) or len(victim.classes) == 1:
        raise ValueError(
            "side_labels=true needs a pool of rows whose true classes are known; this one has "
            f"{len(shares.pool)} rows{'' if shares.y_pool is not None else ' and no labels'} for a "
            f"model of {len(victim.classes)} classes; set side_labels=false, or data.pool_share > 0"
        )
    card = public_card(victim)
    targets = np.eye(len(victim.classes))[shares.y_pool]
    return learner_for(PUBLISHED, card).fit(shares.pool, targets, rng).surrogate()


def public_card(victim: Victim) -> Card:
    """Return what is known of a model to one who has no access to it."""
    return Card(
        space=victim.space,
        classes=victim.classes,
        price=0.0,
        confidences=False,
        partial=False,
        family=victim.family,
        architecture=dict(victim.architecture),
    )


def gains(scores: Mapping[str, float], floor: Mapping[str, float]) -> dict[str, float]:
    """Tell each fidelity above its floor, as a share of what the floor left to be gained.

    0 is nothing extracted, 1 is all; below 0 the surrogate is worse than the floor. NaN where the
    floor is 1: a model that always answers the same has nothing to extract.

    Args:
        scores: with `fidelity_<sample>` of the surrogate.
        floor: the same of the attacker without API.
    """
    out = {}
    for key, value in floor.items():
        if key.startswith("fidelity_"):
            left = 1 - value
            gain = (scores[key] - value) / left if left > 0 else float("nan")
            out[key.replace("fidelity_", "gain_")] = gain
    return out

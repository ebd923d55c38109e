"""Whatever measures a distance or a step does so in shares of the range: units change no curve."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from shop import attack_of, defense_of, victim_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Known, Target
from moatbench.compose.build import options as names
from moatbench.randomness import stream
from moatbench.space import InputSpace, Numeric
from moatbench.testing.evidence import undeployable
from moatbench.types import Array
from moatbench.victim import Victim

DEFENSES = names("defense")
CHECKPOINTS = (8, 40)
DEEP = (  # trained in single precision, which makes much of a last bit
    *("active", "boundary", "knockoff", "knockoff_adaptive", "copycat", "activethief_entropy"),
    *("activethief_kcenter", "activethief_dfal", "activethief_dfal_kcenter"),
    *("jbda", "jbda_tr", "s4l", "smoothing"),
    *("art_knockoff", "art_knockoff_adaptive", "art_copycat", "art_fee"),
)
ATTACKS = [name for name in names("attack") if name not in ("suite", *DEEP)]
OWN = {
    "ensemble_expansion": ("gradient_boosting", "breast_cancer"),
    "feature_extraction": ("amazon_logistic", "iris"),
    "lowd_meek": ("logistic", "breast_cancer"),
    "path_finding": ("bigml_tree", "iris"),
}
LONG = ("restorer", "tuned")
BEFORE = {  # attacks that are made against a defense
    "averaging": "laplace_noise",
    "evasion": "prada",
    "fit_through": "reverse_sigmoid",
    "inversion": "mad_argmax",
    "lookup_recovery": "reverse_sigmoid",
    "on_grid": "grid",
    "restorer": "reverse_sigmoid",
    "robust_equations": "mad",
    "sybil": "quota",
    "top1": "reverse_sigmoid",
    "top1_line_search": "reverse_sigmoid",
    "top1_pool": "reverse_sigmoid",
    "top1_uniform": "reverse_sigmoid",
}


def in_units(victim: Victim, low: float, side: float) -> Victim:
    """Return the same victim on columns from `low` on, each `side` times its number wide."""
    old = victim.space
    features = [
        Numeric(f.name, low, low + side * (place + 1)) if isinstance(f, Numeric) else f
        for place, f in enumerate(old.features)
    ]
    space, shares = InputSpace(tuple(features)), victim.shares
    moved = replace(
        shares,
        space=space,
        x_train=space.unscaled(shares.x_train),
        pool=space.unscaled(shares.pool),
        x_test=space.unscaled(shares.x_test),
    )
    return replace(victim, shares=moved, predict=lambda x: victim.predict(space.scaled(x)))


@cache
def both(family: str, data: str) -> tuple[Victim, Victim]:
    victim = victim_of(family, data)
    return victim, in_units(victim, -500.0, 1000.0)


def told(victim: Victim, defense: str, attack: str) -> tuple[str, list[Array]]:
    """Play; return why not, or what each surrogate, and a monitor, say of rows of these units."""
    deployed = defense_of(defense)
    if reason := undeployable(victim, deployed):
        return reason, []
    api = MeteredAPI(Deployment(victim, deployed, stream(0, "defense")), CHECKPOINTS)
    played = attack_of(attack)
    target = Target(api, victim.shares.pool, Known(defense_of(defense)))
    if reason := played.unmet(target):
        return reason, []
    x = np.concatenate([victim.shares.x_test, victim.space.sample(200, np.random.default_rng(1))])
    said = [s.predict(x).labels.astype(float) for s in played.run(target, stream(0, "attack"))]
    said += [m.score(x, victim.predict(x).labels, "another") for m in deployed.monitors]
    return "", said


def same(one: Array, other: Array) -> bool:
    """Whether all but two rows in a hundred are told alike, within rounding."""
    return bool(np.mean(np.isclose(one, other, rtol=1e-6, atol=1e-9)) >= 0.98)


@pytest.mark.parametrize(
    "attack", [pytest.param(a, marks=[pytest.mark.slow] if a in LONG else []) for a in ATTACKS]
)
def test_an_attack_finds_the_same_in_other_units(attack: str) -> None:
    family, data = OWN.get(attack, ("softmax", "iris"))
    defense = BEFORE.get(attack, "none")
    (why, one), (_, other) = (told(v, defense, attack) for v in both(family, data))
    assert why == ""
    assert all(same(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("defense", DEFENSES)
def test_a_defense_answers_the_same_in_other_units(defense: str) -> None:
    family, data = ("logistic", "breast_cancer") if defense == "bdpl" else ("softmax", "iris")
    (why, one), (_, other) = (told(v, defense, "uniform_retraining") for v in both(family, data))
    assert why == ""
    assert all(same(a, b) for a, b in zip(one, other, strict=True))

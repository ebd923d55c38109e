"""A point of a curve does not depend on where the curve ends."""

import pytest
from shop import ROOT, attack_of, defense_of, victim_of

from moatbench.runner.extract import Extraction

FOLDER = ROOT / "conf" / "attack"
PICTURES = ("s4l", "smoothing")  # for pictures alone; they wear active
ATTACKS = sorted(f.stem for f in FOLDER.glob("*.yaml") if f.stem not in ("suite", *PICTURES))
# A defense that lets the attack apply, where no defense at all does not
DEFENSES = {
    "averaging": "gaussian_noise",
    "evasion": "prada",
    "fit_through": "reverse_sigmoid",
    "inversion": "mad_argmax",
    "lookup_recovery": "mad_argmax",
    "on_grid": "grid",
    "restorer": "mad_argmax",
    "robust_equations": "mad_argmax",
    "sybil": "prada",
    **{name: "mad_argmax" for name in ATTACKS if name.startswith("top1")},
}
VICTIMS = {
    "ensemble_expansion": "gradient_boosting",
    "feature_extraction": "amazon_logistic",
    "lowd_meek": "logistic",
    "path_finding": "tree",
    "art_fee": "mlp",
}
# Choose what of a pool to ask about; for others than networks they want a learner
POOLED = ("active", "boundary", "knockoff", "copycat", "jbda")
FEW = {"art_knockoff": 40, "art_knockoff_adaptive": 40, "art_copycat": 40}  # steps of training
TWO = {"logistic": "circles", "amazon_logistic": "circles"}
# What an attack's plan may hang on: noise, rounding, labels, another family
OTHERS = (
    ("equation_solving", "softmax", "gaussian_noise"),
    ("equation_solving", "softmax", "rounding"),
    ("equation_solving", "mlp", "none"),
    ("tuned", "softmax", "gaussian_noise"),
    ("adaptive_retraining", "softmax", "label_only"),
)
SCENES = (
    *((name, VICTIMS.get(name, "softmax"), DEFENSES.get(name, "none")) for name in ATTACKS),
    *OTHERS,
)
AT, BETWEEN, END = 44, 60, 4 * 44
MEASURED = ("fidelity_test", "fidelity_uniform", "tv_test", "tv_uniform")


def first_point(attack: str, family: str, defense: str, checkpoints: list[int]) -> dict[str, float]:
    """What the judge finds at the first checkpoint."""
    knobs = ["victim.activation=relu"] if attack == "art_fee" else []
    victim = victim_of(family, TWO.get(family, "iris"), *knobs)
    quick = ["attack.restorer.epochs=1", "attack.pairs=100"] if attack == "restorer" else []
    quick += ["attack.learner=softmax"] if attack.startswith((*POOLED, "activethief")) else []
    quick += [f"attack.steps={FEW[attack]}"] if attack in FEW else []
    curve = Extraction(victim, defense_of(defense), attack_of(attack, *quick), checkpoints)
    point = next(iter(curve))
    assert point.queries == checkpoints[0]
    return {name: point.metrics[name] for name in MEASURED}


@pytest.mark.parametrize(("attack", "family", "defense"), SCENES)
def test_a_longer_curve_begins_as_a_shorter_one(attack: str, family: str, defense: str) -> None:
    """Bit for bit: not within chance."""
    short = first_point(attack, family, defense, [AT])
    assert first_point(attack, family, defense, [AT, BETWEEN, END]) == short

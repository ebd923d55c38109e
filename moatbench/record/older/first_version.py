"""Summaries of the version before, without a number, a plan and kinds, brought up to date."""

from collections.abc import Mapping, Sequence
from typing import Any

PLAN: dict[str, Any] = {  # of every run of that version
    "uniform_points": 10_000,
    "same_value": 1e-6,
    "accounts": 5,
    "account_queries": 500,
    "shifted_accounts": 3,
    "clusters": 4,
    "least_share": 0.05,
    "customers": 200,
}
KINDS = {  # of the defenses of that version, by their names in conf/
    "quantises": "binning rounding significant_digits",
    "truncates": "confidence_threshold top_k",
    "withholds": "bdpl label_only",
    "noisy": "bdpl gaussian_noise laplace_noise",
    "perturbs": "mad_argmax modelguard_s modelguard_w reverse_sigmoid shuffle",
    "relabels": "grad2 mad",
    "off_data": "adaptive_misinformation edm",
    "marks": "dawn",
    "moves_inputs": "grid",
    "watches": "extraction_warning hoda margin_counter prada quota seat vardetect",
    "refuses": "refuse_invalid refuse_partial",
    "costs": "proof_of_work",
    "remembers": "modelguard_s",
    "tells_nothing": "random_labels",
}


def upgraded(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary with a plan, and kinds in the place of the names of layers."""
    layers = [name for name in str(tree.get("defense", "")).split("+") if name not in ("", "none")]
    watching = {k.split(".")[1] for k in tree.get("knobs", {}) if _of_monitor(k)}
    kinds = {name: _kinds(name, name in watching) for name in layers}
    renewed = {**tree, "plan": PLAN, "kinds": kinds}
    if "aware" in tree:
        renewed["aware"] = {
            attack: sorted({kind for name in names for kind in kinds.get(name, ())})
            for attack, names in tree["aware"].items()
        }
    return renewed


def _kinds(name: str, watches: bool) -> Sequence[str]:
    """Name the kinds of a layer; a stranger's said nothing of itself."""
    found = [kind for kind, names in KINDS.items() if name in names.split()]
    return ["watches"] if watches else found or ["other"]


def _of_monitor(knob: str) -> bool:
    """Whether a knob belongs to a defense that watches."""
    group, _, *rest = [*knob.split("."), ""]
    return group == "defense" and bool({"monitor", "response"} & set(rest))

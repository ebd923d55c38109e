"""Parts as they were written before there were traits and targets: each is shown the new form."""

from inspect import get_annotations, isfunction, signature

from moatbench.attack import Attack
from moatbench.defense import Defense
from moatbench.traits import Traits

KINDS = 'traits = Traits({"perturbs"}), with the kinds of moatbench.traits.KINDS'
OF_DEFENSES = {  # what a class said of itself, and how it says so now
    "stage": KINDS,
    "stages": KINDS,
    "label_preserving": 'traits = Traits({"relabels"}, keeps_labels=False)',
    "snap": 'traits = Traits({"moves_inputs"}, input_grid=0.1)',
    "shared": "traits = Traits(shared=True)",
    "noise": 'traits = Traits({"noisy"}, noise=NoiseModel("fresh"))',
    "confidences": 'traits = Traits({"withholds"}, confidences=False)',
    "partial": 'traits = Traits({"refuses"}, partial=False)',
    "alarms": "def evidence(self), which returns Evidence(alarms=...)",
    "marks": "def evidence(self), which returns Evidence(marks=...)",
}
OF_ATTACKS = {
    "informed": "target.known in run",
    "aware": 'against = frozenset({"quantises"})',
}
METHODS = {"run": "self, target, rng", "unmet": "self, target"}


def refuse_old_form(part: Defense | Attack) -> None:
    """Raise a TypeError for a part, or one that it is made of, that is written in the old form.

    Its declarations would be taken for knobs, and nobody would know what it does.
    """
    if isinstance(part, Attack):
        for kind in type(part).__mro__:
            _check_attack(kind)
        for other in (*part.choices, *([] if part.inner is None else [part.inner])):
            refuse_old_form(other)
        return
    for one in part.parts():
        if not isinstance(one.traits, Traits):
            raise TypeError(
                f"{type(one).__name__}.traits must be a Traits, got {one.traits!r}; write "
                'traits = Traits({"perturbs"})'
            )
        for kind in type(one).__mro__:
            _check_defense(kind)


def _check_defense(defense: type) -> None:
    knobs = {k for k, kind in get_annotations(defense).items() if "ClassVar" not in str(kind)}
    for name in sorted(OF_DEFENSES.keys() & vars(defense).keys() - knobs):
        if not isfunction(vars(defense)[name]):
            raise TypeError(
                f"{defense.__name__}.{name} is how a defense spoke of itself before; write "
                f"{OF_DEFENSES[name]}"
            )


def _check_attack(attack: type) -> None:
    own, name = vars(attack), attack.__name__
    for old in sorted(OF_ATTACKS.keys() & own.keys()):
        raise TypeError(f"{name}.{old} is how attacks were written before; use {OF_ATTACKS[old]}")
    for method, new in METHODS.items():
        takes = list(signature(own[method]).parameters) if method in own else []
        if len(takes) > len(new.split(", ")):
            raise TypeError(
                f"{name}.{method}({', '.join(takes)}) is how attacks were written before; write "
                f"{method}({new}), with target.api, target.pool and target.known"
            )

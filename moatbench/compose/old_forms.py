"""Parts as they were written before there were traits and targets: each is shown the new form."""

from inspect import get_annotations, isfunction, signature

from moatbench.attack import Attack
from moatbench.defense import Defense

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
METHODS = {"run": ("api", "target, rng"), "unmet": ("card", "target")}  # first argument, new form


def refuse_old_form(part: Defense | Attack) -> None:
    """Raise a TypeError for a part, or one that it is made of, that is written in the old form.

    Its declarations would be taken for knobs, and nobody would know what it does.
    """
    if isinstance(part, Attack):
        for kind in type(part).__mro__:
            _check_attack(kind)
        if part.inner is not None:
            refuse_old_form(part.inner)
        return
    for one in part.parts():
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
    for method, (first, new) in METHODS.items():
        if method in own and list(signature(own[method]).parameters)[1:2] == [first]:
            raise TypeError(
                f"{name}.{method}(self, {first}, ...) is how attacks were written before; write "
                f"{method}(self, {new}), with target.api, target.pool and target.known"
            )

"""What a defense needs of the victim that it is deployed before."""

from moatbench.victim import Victim


class NeedUnmet(ValueError):
    """A defense cannot be deployed before this victim; the message is the reason."""


def outputs(victim: Victim, who: str) -> None:
    """Raise NeedUnmet unless the victim answers outputs beside its labels."""
    if not victim.confidences:
        raise NeedUnmet(
            f"{who} acts on confidences, and this victim answers labels only; choose a victim "
            f"that answers confidences, or leave {who} out"
        )


def probabilities(victim: Victim, who: str, *, classes: int = 2, full: bool = False) -> None:
    """Raise NeedUnmet unless the victim answers class probabilities.

    Args:
        victim: what the defense is deployed before.
        who: the defense.
        classes: how many the victim must have at least.
        full: whether its outputs must be whole distributions.
    """
    outputs(victim, who)
    k = len(victim.classes)
    if k == 1:
        raise NeedUnmet(
            f"{who} acts on class probabilities, and this victim answers the value of a "
            "regression; choose a classifier, or rounding, significant_digits or noise"
        )
    if k < classes:
        raise NeedUnmet(
            f"{who} needs at least {classes} classes, and this victim has {k}; choose another data "
            f"set, or leave {who} out"
        )
    if full and not victim.full:
        raise NeedUnmet(
            f"{who} needs whole distributions, and this victim tells the confidence of some "
            f"classes only; choose another victim, or leave {who} out"
        )

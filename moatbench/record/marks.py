"""What makes a number less than it seems."""

from collections.abc import Collection, Iterable, Mapping

from moatbench.record.summary import FINISHED, Summary

CONTROLS = ("none", "random_labels")  # before these, there is nothing to know


def naive(defense: str, made_for: Iterable[Mapping[str, Collection[str]]]) -> bool:
    """Whether some layer of a defense has met no attack that was made to withstand it.

    Args:
        defense: its name, a stack's with a plus sign between the layers; `none` is none.
        made_for: what `aware` told, of each run against it.
    """
    met = {layer for run in made_for for layers in run.values() for layer in layers}
    return defense not in CONTROLS and not met >= set(defense.split("+"))


def marks(summary: Summary) -> list[str]:
    """Say in a few words each what is less about a finished run than its numbers seem."""
    if summary.status != FINISHED:
        return []
    out = ["naive only"] if naive(summary.defense, [summary.aware]) else []
    ran = summary.winner or summary.attack
    out += ["upper bound"] if ran in summary.oracles else []
    return out + ([f"flagged ({len(summary.flags)})"] if summary.flags else [])

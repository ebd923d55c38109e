"""What makes a number less than it seems."""

from collections.abc import Collection, Iterable, Mapping

from moatbench.record.summary import FINISHED, WATCHES, Summary

CONTROL = "tells_nothing"  # before this kind there is nothing to know


def naive(
    kinds: Mapping[str, Collection[str]], made_for: Iterable[Mapping[str, Collection[str]]]
) -> bool:
    """Whether a layer of a defense has a kind that no attack it met was made to withstand.

    Args:
        kinds: of each layer.
        made_for: what `aware` told, of each run against it.
    """
    met = {kind for run in made_for for several in run.values() for kind in several}
    return any(not met >= needing(several) for several in kinds.values())


def needing(kinds: Collection[str]) -> set[str]:
    """Return the kinds of a layer that need an attack made against them.

    Who is made against being watched is not seen, and meets no response.
    """
    return {WATCHES} if WATCHES in kinds else set(kinds) - {CONTROL}


def marks(summary: Summary) -> list[str]:
    """Say in a few words each what is less about a finished run than its numbers seem."""
    if summary.status != FINISHED:
        return []
    out = ["naive only"] if naive(summary.kinds, [summary.aware]) else []
    ran = summary.winner or summary.attack
    out += ["upper bound"] if ran in summary.oracles else []
    return out + ([f"flagged ({len(summary.flags)})"] if summary.flags else [])

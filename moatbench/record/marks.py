"""What makes a number less than it seems."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

WATCHES = "watches"
CONTROL = "tells_nothing"  # before this kind there is nothing to know
CONTROLS = ("none", "random_labels")  # the names of such, in records that tell no kinds


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


def kinds_of(summary: Mapping[str, Any]) -> Mapping[str, Collection[str]]:
    """Return the kinds of each layer; in older records, attacks were made for layers by name."""
    named = {n: (n,) for n in str(summary["defense"]).split("+") if n not in CONTROLS}
    kinds: Mapping[str, Collection[str]] = summary.get("kinds", named)
    return kinds


def marks(summary: Mapping[str, Any]) -> list[str]:
    """Say in a few words each what is less about a finished run than its numbers seem."""
    if summary["status"] != "finished":
        return []
    out = ["naive only"] if naive(kinds_of(summary), [summary["aware"]]) else []
    ran = summary["winner"] or summary["attack"]
    out += ["upper bound"] if ran in summary["oracles"] else []
    return out + ([f"flagged ({len(summary['flags'])})"] if summary["flags"] else [])

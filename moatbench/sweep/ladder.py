"""The ladder of defenses that an owner is advised from: short, and in three stages.

The bare API comes first: it says how long the others take. The stack comes last: it is of the two
that did best.
"""

from collections.abc import Sequence

BARE = ("none",)
ANSWERS = ("rounding", "label_only", "top_k", "reverse_sigmoid", "mad_argmax", "modelguard_w")
COARSER = ("defense=rounding", "defense.rounding.decimals=1")
QUOTA = "quota"
# What watches best depends on what is asked: distances need numbers, a tree's view does not.
PICTURES, NUMBERS, WORDS = (
    ("prada", "vardetect"),
    ("prada", "margin_counter"),
    ("extraction_warning", "seat"),
)


def monitors(features: int, numbers: int, *, pictures: bool) -> tuple[str, ...]:
    """Name the monitors on the ladder: a quota, and the two that suit the inputs.

    Args:
        features: that an input has.
        numbers: how many of them are numeric.
        pictures: whether they are the pixels of one.
    """
    if pictures:
        return (QUOTA, *PICTURES)
    return (QUOTA, *(NUMBERS if 2 * numbers >= features else WORDS))


def stack(ranked: Sequence[str], watching: Sequence[str]) -> tuple[str, ...]:
    """Put the best of those that watch before the best of those that answer; () if one lacks.

    Args:
        ranked: names of defenses, the best first.
        watching: of the ladder, those that watch.
    """
    watch = next((name for name in ranked if name in watching), None)
    answer = next((name for name in ranked if name in ANSWERS), None)
    return (watch, answer) if watch and answer else ()


def doubling(budget: int, points: int = 6) -> tuple[int, ...]:
    """Checkpoints that double up to the budget."""
    return tuple(dict.fromkeys(max(1, budget >> k) for k in reversed(range(points))))

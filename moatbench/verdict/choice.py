"""Several defenses of one model in a sentence: which to deploy, and whether any holds."""

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

from moatbench.verdict.case import UNDEFENDED, Case
from moatbench.verdict.names import shown
from moatbench.verdict.words import MOST, named, paid, percent, verdict

BEARABLE = 0.01  # of labels wrong, and of queries refused: what an owner may ask of customers
# What may be said of the defense that leaves a thief least
HOLDS, HELPS, DEAR, UNPROVEN = "holds", "helps most", "too dear", "not shown to hold"


class Pick(NamedTuple):
    """The defense that leaves least to a thief, of those that customers can bear.

    Args:
        outcome: HOLDS, HELPS (less is stolen, and most of it still), DEAR (customers cannot bear
            it, and those that they can bear do not help) or UNPROVEN (nothing is shown to help).
        case: that defense; None where each that was tried seems to help and none is proven.
    """

    outcome: str
    case: Case | None


def choice(cases: Sequence[Case]) -> str:
    """Say which defense to deploy, at which price; where none holds, say that.

    Args:
        cases: of one model; a single one has its own verdict.
    """
    cases = _measured(cases)
    if len(cases) == 1 or not (ranked := _ranked(cases)):
        return " ".join(verdict(case) for case in cases[:1]) if cases else ""
    parts = [_best(ranked), *_undefended(cases), *_unproven(ranked), *_broken(cases)]
    return " ".join(parts)


def pick(cases: Sequence[Case]) -> Pick:
    """Choose which defense to deploy.

    Args:
        cases: of one model.
    """
    ranked = _ranked(_measured(cases))
    proven = [case for case in ranked if case.supported]
    cheap = [case for case in proven if bearable(case)]
    if cheap:
        return Pick(HOLDS if cheap[0].gain < MOST else HELPS, cheap[0])
    if proven:
        return Pick(DEAR, proven[0])
    return Pick(UNPROVEN, next((case for case in ranked if not case.claimed), None))


def unproven(cases: Sequence[Case]) -> list[Case]:
    """Return those behind which less seems to be stolen, and that is not proven."""
    return [case for case in _ranked(_measured(cases)) if case.claimed and not case.supported]


def undefended(cases: Sequence[Case]) -> Case | None:
    """Return the case of no defense at all; None where it was not measured."""
    bare = (case for case in cases if case.defense == UNDEFENDED and not case.invalid)
    return next(bare, None)


def bearable(case: Case) -> bool:
    """Whether customers keep nearly all labels and answers."""
    wrong, refused = 1 - case.paid.get("label_agreement", 1.0), case.paid.get("refused", 0.0)
    return max(wrong, refused) <= BEARABLE + 1e-12


def _measured(cases: Sequence[Case]) -> Sequence[Case]:
    return [c for c in cases if c.invalid or not isnan(c.stolen)] or cases[:1]


def _ranked(cases: Sequence[Case]) -> list[Case]:
    """Return the defenses that somebody may deploy, the one that leaves least first.

    Of several that leave as much, those that customers can bear come first.
    """
    tried = (case for case in cases if not case.is_control and not case.invalid)
    return sorted(tried, key=lambda case: (case.stolen, not bearable(case)))


def _best(ranked: Sequence[Case]) -> str:
    """Name the defense that leaves least to a thief, of those that customers can bear."""
    outcome, best = pick(ranked)
    if best is None:
        return f"No defense of {ranked[0].model} is shown to hold."
    name = shown(best.defense)
    if outcome == HOLDS:
        return f"Deploy {name}: {_told(best)}."
    if outcome == HELPS:
        return f"No defense holds; {name} helps most: {_told(best)}."
    if outcome == DEAR:
        return (
            f"No defense holds at a price that customers can bear. {name} leaves a thief least: "
            f"{_told(best)}."
        )
    plain = sum(not case.claimed for case in ranked)
    behind = f"{name}{f', the best of the {plain} tried' if plain > 1 else ''}"
    return f"No defense is shown to hold: behind {behind}, {_copied(best)}."


def _copied(case: Case) -> str:
    share = f"{case.side if case.stolen < 1 else ''}{percent(case.stolen)}"
    return (
        f"a thief's copy of {case.model} agrees with it on {share} of test rows after "
        f"{case.budget:,} queries"
    )


def _told(case: Case) -> str:
    beside = f", instead of {percent(case.beside_stolen)} behind {shown(case.beside)}"
    return f"{_copied(case)}{beside}; customers pay: {paid(case)}"


def _undefended(cases: Sequence[Case]) -> list[str]:
    """Tell what is stolen with no defense at all."""
    bare = undefended(cases)
    return [f"Undefended, it does on {percent(bare.stolen)}."] if bare else []


def _unproven(ranked: Sequence[Case]) -> list[str]:
    """Name those that seem to help, and why that is not proven."""
    if not (seem := unproven(ranked)):
        return []
    why = named(list(dict.fromkeys(mark for case in seem for mark in case.doubts)))
    told = named([f"{shown(case.defense)} ({percent(case.stolen)})" for case in seem])
    return [f"Less seems to be stolen behind {told}, but that is not proven: {why}."]


def _broken(cases: Sequence[Case]) -> list[str]:
    invalid = [shown(case.defense) for case in cases if case.invalid]
    return [f"Invalid (grade A), and left out: {named(invalid)}."] if invalid else []

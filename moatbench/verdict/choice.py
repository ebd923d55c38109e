"""Several defenses of one model in a sentence: which to deploy, and whether any holds."""

from collections.abc import Sequence
from math import isnan

from moatbench.verdict.case import UNDEFENDED, Case
from moatbench.verdict.names import shown
from moatbench.verdict.words import MOST, named, paid, percent, verdict

BEARABLE = 0.01  # of labels wrong, and of queries refused: what an owner may ask of customers


def choice(cases: Sequence[Case]) -> str:
    """Say which defense to deploy, at which price; where none holds, say that.

    Args:
        cases: of one model; a single one has its own verdict.
    """
    cases = [c for c in cases if c.invalid or not isnan(c.stolen)] or cases[:1]
    tried = [c for c in cases if not c.is_control and not c.invalid]
    if len(cases) == 1 or not tried:
        return " ".join(verdict(case) for case in cases[:1]) if cases else ""
    ranked = sorted(tried, key=lambda case: case.stolen)
    proven = [case for case in ranked if case.supported]
    cheap = [case for case in proven if bearable(case)]
    parts = [_best(cheap, proven, ranked), *_undefended(cases), *_unproven(ranked), *_broken(cases)]
    return " ".join(parts)


def bearable(case: Case) -> bool:
    """Whether customers keep nearly all labels and answers."""
    wrong, refused = 1 - case.paid.get("label_agreement", 1.0), case.paid.get("refused", 0.0)
    return max(wrong, refused) <= BEARABLE + 1e-12


def _best(cheap: Sequence[Case], proven: Sequence[Case], ranked: Sequence[Case]) -> str:
    """Name the defense that leaves least to a thief, of those that customers can bear."""
    if cheap and cheap[0].gain < MOST:
        return f"Deploy {shown(cheap[0].defense)}: {_told(cheap[0])}."
    if cheap:
        return f"No defense holds; {shown(cheap[0].defense)} helps most: {_told(cheap[0])}."
    if proven:
        least = shown(proven[0].defense)
        return (
            f"No defense holds at a price that customers can bear. {least} leaves a thief least: "
            f"{_told(proven[0])}."
        )
    plain = [case for case in ranked if not case.claimed]
    if not plain:
        return f"No defense of {ranked[0].model} is shown to hold."
    among = f", the best of the {len(plain)} tried" if len(plain) > 1 else ""
    behind = f"{shown(plain[0].defense)}{among}"
    return f"No defense is shown to hold: behind {behind}, {_copied(plain[0])}."


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
    found = [case for case in cases if case.defense == UNDEFENDED and not case.invalid]
    return [f"Undefended, it does on {percent(found[0].stolen)}."] if found else []


def _unproven(ranked: Sequence[Case]) -> list[str]:
    """Name those that seem to help, and why that is not proven."""
    seem = [case for case in ranked if case.claimed and not case.supported]
    if not seem:
        return []
    why = named(list(dict.fromkeys(mark for case in seem for mark in case.doubts)))
    told = named([f"{shown(case.defense)} ({percent(case.stolen)})" for case in seem])
    return [f"Less seems to be stolen behind {told}, but that is not proven: {why}."]


def _broken(cases: Sequence[Case]) -> list[str]:
    invalid = [shown(case.defense) for case in cases if case.invalid]
    return [f"Invalid (grade A), and left out: {named(invalid)}."] if invalid else []

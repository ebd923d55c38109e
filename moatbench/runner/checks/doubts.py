"""Curves that cannot be what they seem: where more queries, information or steps gave less."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import sqrt

import numpy as np

from moatbench.attack import Attack
from moatbench.client import Surrogate
from moatbench.record.curve import Row
from moatbench.record.flag import BOUND, FELL, GAINLESS, LESS, MOVED, NOTE, Flag
from moatbench.record.flag import FALL as FELL_EARLIER
from moatbench.types import Mask

FALL = 0.01  # of fidelity: less is not worth a reader's time
ERRORS = 3.0  # standard errors: a suite compares hundreds of pairs, of which one in 44 exceeds two

Hits = Mapping[str, Sequence[Mask]]  # attack to the test rows that it had right, by checkpoint
Doubled = tuple[Mask, Mask]  # held-out purchases that a fit has right, and with twice the steps


def exceeds(one: Mask, two: Mask) -> bool:
    """Whether fidelity `one` is higher than `two` by more than the test sample explains.

    By more than one percentage point, and more than three standard errors of the paired difference:
    both were judged on the same rows.
    """
    gap = one.astype(np.float64) - two
    if len(gap) < 2 or gap.mean() <= FALL:
        return False
    return bool(gap.mean() > ERRORS * gap.std(ddof=1) / sqrt(len(gap)))


def more_queries_gave_less(hits: Hits, curves: Mapping[str, Sequence[Row]]) -> list[Flag]:
    """Curves that fall: of each, the deepest fall between two checkpoints, or to the last."""
    found = []
    for name, right in hits.items():
        last = len(right) - 1
        falls = [(i, j) for j in range(last + 1) for i in range(j) if exceeds(right[i], right[j])]
        to_the_end = [fall for fall in falls if fall[1] == last]
        if falls:
            high, low = max(
                to_the_end or falls, key=lambda f: right[f[0]].mean() - right[f[1]].mean()
            )
            before, after = (
                f"{_percent(right[at])} at {curves[name][at]['queries']}" for at in (high, low)
            )
            text = f"{name}: more queries gave less: {before} queries, {after}"
            found.append(Flag(NOTE, text, FELL if to_the_end else FELL_EARLIER, name))
    return found


def more_information_gave_less(attacks: Mapping[str, Attack], hits: Hits) -> list[Flag]:
    """Attacks on confidences that end below one that uses nothing but the labels.

    Labels can always be used alone, so that the defense broke the optimiser and not the leak. An
    attack is compared with its own twin, and the best on confidences with the best on labels.
    """
    most = max(map(len, hits.values()), default=0)
    ended = {n: h[-1] for n, h in hits.items() if len(h) == most and not attacks[n].oracle}
    pairs = [pair for pair in twins(attacks) if set(pair) <= ended.keys()]
    groups: tuple[list[str], list[str]] = ([], [])
    for name in ended:
        groups[attacks[name].labels_only].append(name)
    if all(groups):
        best = [max(names, key=lambda name: float(ended[name].mean())) for names in groups]
        pairs.append((best[0], best[1]))
    return [
        Flag(
            NOTE,
            f"{more}: more information gave less: {_percent(ended[more])}, and {fewer}, which uses "
            f"labels only, {_percent(ended[fewer])}: the defense broke the optimiser, not the leak",
            LESS,
            fewer,
        )
        for more, fewer in dict.fromkeys(pairs)
        if exceeds(ended[fewer], ended[more])
    ]


def awareness_gave_nothing(
    attacks: Mapping[str, Attack], kinds: Collection[str], hits: Hits
) -> list[Flag]:
    """Attacks made against a kind of this defense that do no better than what they are made of.

    Compared at the budget with the attack that they run, where the suite has it too, and only
    where that one leaves something to gain. One that does worse, and is alone in being made against
    the kind, leaves the defense as good as unmet.
    """
    flags = []
    for name, wrapper in attacks.items():
        for twin in _alone(wrapper, attacks, hits):
            made = sorted((wrapper.against - attacks[twin].against) & frozenset(kinds))
            aware, naive = hits.get(name, ()), hits[twin]
            if not made or not aware or len(aware) != len(naive) or 1 - naive[-1].mean() <= FALL:
                continue
            if not exceeds(aware[-1], naive[-1]):
                text = (
                    f"{name}: made against {', '.join(made)}, it gained nothing: "
                    f"{_percent(aware[-1])}, and {twin} alone {_percent(naive[-1])}"
                )
                others = (attacks[n].against for n in hits if n != name)
                alone = not any(against & set(made) for against in others)
                worse = exceeds(naive[-1], aware[-1])
                flags.append(Flag(BOUND if alone and worse else NOTE, text, GAINLESS, name))
    return flags


def _alone(wrapper: Attack, attacks: Mapping[str, Attack], hits: Hits) -> list[str]:
    """Name the attacks that ran and are what a wrapper runs.

    Of several, it runs the first that applies, which is the first of them that the suite ran too.
    """
    if wrapper.inner is None:
        return []
    for one in wrapper.inner.choices or (wrapper.inner,):
        if found := [name for name, attack in attacks.items() if attack == one and name in hits]:
            return found
    return []


def doubled(surrogate: Surrogate) -> Doubled | None:
    """Train a surrogate that says it has converged for twice the steps, where it can be."""
    if not surrogate.converged or surrogate.doubled is None:
        return None
    try:
        once, twice = map(np.asarray, surrogate.doubled())
    except Exception:  # it may be anybody's code, and what it stole stands
        return None
    masks = (
        once.size
        and once.dtype == twice.dtype == bool
        and once.shape == twice.shape == (once.size,)
    )
    return (once, twice) if masks else None


def more_steps_gave_other(found: Mapping[str, Doubled]) -> list[Flag]:
    """Fits that said they had converged, and move with twice the steps.

    Fidelity to held-out purchases moves by more than a point, up or down, and by more than chance.
    """
    return [
        Flag(
            NOTE,
            f"{name}: said to have converged, but twice the steps move it from {_percent(once)} "
            f"to {_percent(twice)} of {len(once)} held-out purchases",
            MOVED,
            name,
        )
        for name, (once, twice) in found.items()
        if exceeds(once, twice) or exceeds(twice, once)
    ]


def twins(attacks: Mapping[str, Attack]) -> Iterator[tuple[str, str]]:
    """Pairs of an attack and one that runs it on labels alone."""
    for name, wrapper in attacks.items():
        inner = wrapper.inner
        if wrapper.labels_only and inner is not None and not inner.labels_only:
            yield from ((n, name) for n, attack in attacks.items() if attack == inner)


def _percent(right: Mask) -> str:
    return f"{100 * right.mean():.1f} %"

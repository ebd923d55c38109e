"""Curves that cannot be what they seem: where more queries, or more information, gave less."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

import numpy as np

from moatbench.attack import Attack
from moatbench.record.curve import Row
from moatbench.types import Mask

FALL = 0.01  # of fidelity: less is not worth a reader's time
ERRORS = 3.0  # standard errors: a suite compares hundreds of pairs, of which one in 44 exceeds two

Hits = Mapping[str, Sequence[Mask]]  # attack to the test rows that it had right, by checkpoint


def exceeds(one: Mask, two: Mask) -> bool:
    """Whether fidelity `one` is higher than `two` by more than the test sample explains.

    By more than one percentage point, and more than three standard errors of the paired difference:
    both were judged on the same rows.
    """
    gap = one.astype(np.float64) - two
    if len(gap) < 2 or gap.mean() <= FALL:
        return False
    return bool(gap.mean() > ERRORS * gap.std(ddof=1) / sqrt(len(gap)))


def more_queries_gave_less(hits: Hits, curves: Mapping[str, Sequence[Row]]) -> list[str]:
    """Curves that fall: of each, the deepest fall between two checkpoints."""
    lines = []
    for name, right in hits.items():
        places = range(len(right))
        falls = [(i, j) for j in places for i in range(j) if exceeds(right[i], right[j])]
        if falls:
            high, low = max(falls, key=lambda f: right[f[0]].mean() - right[f[1]].mean())
            before, after = (
                f"{_percent(right[at])} at {curves[name][at]['queries']}" for at in (high, low)
            )
            lines.append(f"{name}: more queries gave less: {before} queries, {after}")
    return lines


def more_information_gave_less(attacks: Mapping[str, Attack], hits: Hits) -> list[str]:
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
        f"{more}: more information gave less: {_percent(ended[more])}, and {fewer}, which uses "
        f"labels only, {_percent(ended[fewer])}: the defense broke the optimiser, not the leak"
        for more, fewer in dict.fromkeys(pairs)
        if exceeds(ended[fewer], ended[more])
    ]


def twins(attacks: Mapping[str, Attack]) -> Iterator[tuple[str, str]]:
    """Pairs of an attack and one that runs it on labels alone."""
    for name, wrapper in attacks.items():
        inner = wrapper.inner
        if wrapper.labels_only and inner is not None and not inner.labels_only:
            yield from ((n, name) for n, attack in attacks.items() if attack == inner)


def _percent(right: Mask) -> str:
    return f"{100 * right.mean():.1f} %"

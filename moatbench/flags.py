"""What a run says against itself: what a reader must know before trusting its curves."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import sqrt

import numpy as np

from moatbench.attack import Attack
from moatbench.curve import Row
from moatbench.defense import Defense
from moatbench.suite import WORST_CASE
from moatbench.types import Mask

FALL = 0.01  # of fidelity: less is not worth a reader's time
ERRORS = 3.0  # standard errors: a suite compares hundreds of pairs, of which one in 44 exceeds two

Hits = Mapping[str, Sequence[Mask]]  # attack to the test rows that it had right, by checkpoint


def of_run(
    attacks: Mapping[str, Attack],
    defense: Defense,
    curves: Mapping[str, Sequence[Row]],
    hits: Hits,
    *,
    confidences: bool,
) -> list[str]:
    """Gather all flags of the curves, a line each.

    Args:
        attacks: that were to run, by name.
        defense: what they met.
        curves: of those that ran.
        hits: of those that ran.
        confidences: whether the API answered any.
    """
    ran = {name: curve for name, curve in curves.items() if name != WORST_CASE}
    return [
        *unconverged(ran),
        *(f"upper bound: {name} saw the victim itself" for name in oracles(attacks, ran)),
        *more_queries_gave_less(hits, ran),
        *(more_information_gave_less(attacks, hits) if confidences else ()),
        *labels_changed(defense, ran),
    ]


def unconverged(curves: Mapping[str, Sequence[Row]]) -> list[str]:
    """Attacks that stopped before they converged: what they reached is a lower bound."""
    late = {n: [row["queries"] for row in c if not row["converged"]] for n, c in curves.items()}
    return [
        f"{name}: not converged at {', '.join(map(str, queries))} queries"
        for name, queries in late.items()
        if queries
    ]


def oracles(attacks: Mapping[str, Attack], ran: Collection[str]) -> list[str]:
    """Name the attacks that ran and were shown the victim."""
    return [name for name, attack in attacks.items() if attack.oracle and name in ran]


def aware(
    attacks: Mapping[str, Attack], layers: Collection[str], finished: Collection[str]
) -> dict[str, list[str]]:
    """Attacks that ran to their end, each with the layers that it was made to withstand."""
    made = {n: sorted(a.aware & set(layers)) for n, a in attacks.items() if n in finished}
    return {name: against for name, against in made.items() if against}


def naive(defense: str, made_for: Iterable[Mapping[str, Collection[str]]]) -> bool:
    """Whether some layer of a defense has met no attack that was made to withstand it.

    Args:
        defense: its name, a stack's with a plus sign between the layers; `none` is none.
        made_for: what `aware` told, of each run against it.
    """
    met = {layer for run in made_for for layers in run.values() for layer in layers}
    return defense != "none" and not met >= set(defense.split("+"))


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
        groups[uses_labels_only(attacks[name])].append(name)
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
        inner = getattr(wrapper, "attack", None)
        if wrapper.labels_only and isinstance(inner, Attack) and not uses_labels_only(inner):
            yield from ((n, name) for n, attack in attacks.items() if attack == inner)


def uses_labels_only(attack: Attack) -> bool:
    """Whether an attack, or the one that it wears, makes use of labels alone."""
    inner = getattr(attack, "attack", None)
    within = isinstance(inner, Attack) and uses_labels_only(inner)
    return attack.labels_only or getattr(attack, "answers", None) == "labels" or within


def labels_changed(defense: Defense, curves: Mapping[str, Sequence[Row]]) -> list[str]:
    """The promise to answer the victim's label, where honest customers saw it broken."""
    seen = [
        (float(value), name)
        for name, (*_, last) in curves.items()
        for key, value in last.items()
        if key.endswith("_label_agreement") and value < 1.0  # NaN where nothing was answered
    ]
    if not defense.label_preserving or not seen:
        return []
    share, under = min(seen)
    kept = f"{100 * share:.2f} % of honest customers' labels, under {under}"
    return [f"declared label-preserving, the defense kept {kept}"]


def _percent(right: Mask) -> str:
    return f"{100 * right.mean():.1f} %"

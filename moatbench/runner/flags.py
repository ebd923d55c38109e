"""What a run says against itself: what a reader must know before trusting its curves."""

from collections.abc import Collection, Mapping, Sequence

from moatbench.attack import Attack
from moatbench.defense import Defense
from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import Row
from moatbench.record.flag import BOUND, INVALID, Flag
from moatbench.runner.doubts import Hits, more_information_gave_less, more_queries_gave_less


def of_run(
    attacks: Mapping[str, Attack],
    defense: Defense,
    curves: Mapping[str, Sequence[Row]],
    hits: Hits,
    *,
    confidences: bool,
) -> list[Flag]:
    """Gather all flags of the curves.

    Args:
        attacks: that were to run, by name.
        defense: what they met.
        curves: of those that ran.
        hits: of those that ran.
        confidences: whether the API answered any.
    """
    ran = {name: curve for name, curve in curves.items() if name != WORST_CASE}
    bounds = [
        *unconverged(ran),
        *(f"upper bound: {name} saw the victim itself" for name in oracles(attacks, ran)),
        *more_queries_gave_less(hits, ran),
        *(more_information_gave_less(attacks, hits) if confidences else ()),
    ]
    broken = labels_changed(defense, ran)
    return [Flag(BOUND, line) for line in bounds] + [Flag(INVALID, line) for line in broken]


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
    attacks: Mapping[str, Attack], defense: Defense, finished: Collection[str]
) -> dict[str, list[str]]:
    """Attacks that ran to their end, each with the kinds of this defense that it is against."""
    kinds = defense.traits.kinds
    made = {n: sorted(a.against & kinds) for n, a in attacks.items() if n in finished}
    return {name: against for name, against in made.items() if against}


def kinds(layers: Mapping[str, Defense]) -> dict[str, list[str]]:
    """What each layer says that it does; one that does something says `other` at least."""
    found = {name: layer for name, layer in layers.items() if type(layer) is not Defense}
    return {name: sorted(layer.traits.kinds) or ["other"] for name, layer in found.items()}


def labels_changed(defense: Defense, curves: Mapping[str, Sequence[Row]]) -> list[str]:
    """The promise to answer the victim's label, where honest customers saw it broken."""
    if not defense.traits.keeps_labels:
        return []
    said = {
        "_label_agreement": "the defense kept {:.2f} % of honest customers' labels, under {}",
        "_top_agreement": "the defense told the victim's label with the top confidence in {:.2f} % "
        "of honest customers' answers, under {}",
    }
    lines = []
    for ending, words in said.items():
        seen = [
            (float(value), name)
            for name, (*_, last) in curves.items()
            for key, value in last.items()
            if key.endswith(ending) and value < 1.0  # NaN where nothing was answered
        ]
        if seen:
            share, under = min(seen)
            lines.append(f"declared label-preserving, {words.format(100 * share, under)}")
    return lines

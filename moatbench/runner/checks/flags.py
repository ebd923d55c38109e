"""What a run says against itself: what a reader must know before trusting its curves."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from moatbench.attack import Attack
from moatbench.compose.build import order_problems
from moatbench.defense import Defense
from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import HEADLINE, Row
from moatbench.record.flag import (
    AGREEMENT,
    BOUND,
    BUYING,
    CLASSES,
    CONSTANT,
    EARLY,
    ENDED,
    INVALID,
    LATE,
    NOTE,
    ONE_SEED,
    ONE_STRENGTH,
    ORACLE,
    ORDER,
    UNBEGUN,
    UNISOLATED,
    VARYING,
    WORSE,
    Flag,
    graded,
)
from moatbench.record.marks import naive_only
from moatbench.remote.guarded import Guarded
from moatbench.runner.card import constant_accuracy
from moatbench.runner.checks.doubts import (
    Doubled,
    Hits,
    awareness_gave_nothing,
    more_information_gave_less,
    more_queries_gave_less,
    more_steps_gave_other,
)
from moatbench.runner.checks.stated import unlike_stated
from moatbench.sweep.strengths import published_of
from moatbench.victim import Shares, Victim

ITSELF = "agrees_with_itself"  # a fact of a victim whose owner says that it varies
UNITS = (
    "is it asked in the units and the order of columns that it was trained on? (victim.encoding)"
)


def of_run(
    attacks: Mapping[str, Attack],
    defense: Defense,
    curves: Mapping[str, Sequence[Row]],
    hits: Hits,
    *,
    confidences: bool,
    doubled: Mapping[str, Doubled] | None = None,
    told: Sequence[Flag] = (),
    steady: bool = True,
) -> list[Flag]:
    """Gather all flags of the curves.

    One that speaks of an attack bounds the run's number if that attack is the worst; else it is a
    note.

    Args:
        attacks: that were to run, by name.
        defense: what they met.
        curves: of those that ran.
        hits: of those that ran.
        confidences: whether the API answered any.
        doubled: what twice the steps changed, of attacks where that was seen.
        told: flags that were raised while the attacks ran.
        steady: whether the victim itself answers alike each time; else no defense keeps labels.
    """
    ran = {name: curve for name, curve in curves.items() if name != WORST_CASE}
    found = [
        *told,
        *not_begun(ran),
        *unconverged(ran),
        *(
            Flag(NOTE, f"upper bound: {name} saw the victim itself", ORACLE, name)
            for name in oracles(attacks, ran)
        ),
        *more_queries_gave_less(hits, ran),
        *(more_information_gave_less(attacks, hits) if confidences else ()),
        *awareness_gave_nothing(attacks, defense.traits.kinds, hits),
        *more_steps_gave_other(doubled or {}),
    ]
    broken = labels_changed(defense, ran) if steady else []
    suspects = {*oracles(attacks, ran), *(flag.attack for flag in told if flag.mark == UNISOLATED)}
    most, names = worst(ran, suspects)
    return [
        *graded(found, names, whole=most >= 1.0),
        *(Flag(INVALID, line, "labels changed") for line in broken),
    ]


def of_defense(layers: Mapping[str, Defense], aware: Mapping[str, Sequence[str]]) -> list[Flag]:
    """Say what is less about a run, whatever its curves.

    Args:
        layers: of the defense, by name.
        aware: attacks that ran to their end, each with the kinds that it is made against.
    """
    published = {name: published_of(layer) for name, layer in layers.items()}
    return [
        *(Flag(INVALID, line, ORDER) for line in order_problems(layers)),
        *naive_only(kinds(layers), [aware]),
        Flag(NOTE, "one seed: other seeds may differ", ONE_SEED),
        *(
            Flag(NOTE, f"{name}: one strength, and {n} are published", ONE_STRENGTH)
            for name, known in published.items()
            if known is not None and (n := len(known.values)) > 1
        ),
    ]


def of_victim(victim: Victim) -> list[Flag]:
    """Say what is less about any number that is measured against this victim.

    What is no better than a constant answer is as easily stolen as one: most often it is asked in
    other units than it was trained on. One whose answers vary agrees with itself in part only, and
    no surrogate can do better.
    """
    flags, shares = _guarded(victim), victim.shares
    itself = shares.provenance.get(ITSELF)
    if itself is not None:
        text = f"the victim's answers vary: it agrees with itself on {100 * itself:.1f} % of labels"
        flags.append(Flag(BOUND, text, VARYING))
    if len(victim.classes) == 1:
        return flags
    way = _units(shares)
    labels, shown = victim.tested.labels, constant_accuracy(victim)
    right = float((labels == shares.y_test).mean())
    flags += [*unlike_stated(victim, right, way), *_by_text(victim, right)]
    if len(np.unique(labels)) == 1:
        text = f"the victim answers {victim.classes[labels[0]]!r} to every test row; {way}"
        return [*flags, Flag(INVALID, text, CONSTANT)]
    if right <= shown:
        text = (
            f"the victim is right on {100 * right:.1f} % of test rows, and one constant answer "
            f"would be on {100 * shown:.1f} %; {way}"
        )
        flags.append(Flag(INVALID, text, WORSE))
    return flags


def _guarded(victim: Victim) -> list[Flag]:
    """Say what is less about a service that has a defense of its own."""
    found = victim.predict
    if not isinstance(found, Guarded):
        return []
    flags = []
    if found.reference is None:
        text = (
            "fidelity is agreement with the service as it is defended, on held-out rows: the model "
            "behind it is not known; name it with victim.reference="
        )
        flags.append(Flag(BOUND, text, AGREEMENT))
    if found.thieves.used_again or found.customers.used_again:
        text = (
            "accounts had keys that others had used in this run, whom the service may remember; "
            "name more in victim.keys_env"
        )
        flags.append(Flag(BOUND, text, "keys used again"))
    return flags


def of_service(stopped: Mapping[str, str]) -> list[Flag]:
    """Say that a service ended attacks before their budget: what they have is the least."""
    reasons: dict[str, list[str]] = {}
    for name, why in stopped.items():
        reasons.setdefault(why, []).append(name)
    return [
        Flag(BOUND, f"{', '.join(names) or 'the run'} ended early: {why}", ENDED)
        for why, names in reasons.items()
    ]


def _units(shares: Shares) -> str:
    """Say what may be wrong with how a victim is asked, and what would be better."""
    facts = shares.provenance
    if "better_with" not in facts:
        return UNITS
    return (
        f"with {facts['better_with']} it is right on {100 * facts['right_with']:.1f} %: it was "
        "trained on inputs like those"
    )


def _by_text(victim: Victim, right: float) -> list[Flag]:
    """Say that classes are taken for one another, where another order of them is surely right."""
    if (better := victim.shares.provenance.get("right_by_text")) is None:
        return []
    text = (
        f"the victim is right on {100 * right:.1f} % of test rows, and on {100 * better:.1f} % "
        "with its outputs in the order of the names as text "
        f"({', '.join(sorted(victim.classes)[:4])}, ...): put a letter before the classes of the "
        "data, which are then sorted so too"
    )
    return [Flag(INVALID, text, CLASSES)]


def worst(
    curves: Mapping[str, Sequence[Row]], suspects: Collection[str] = ()
) -> tuple[float, set[str]]:
    """Return a run's number, and the attacks that stand for it: what they lack bounds it.

    They have the highest fidelity on test data at the largest budget. Of equals, those whose fit
    converged, and that could not see too much (`suspects`), vouch for the others.
    """
    budget = max((curve[-1]["queries"] for curve in curves.values()), default=0)
    last = {name: c[-1] for name, c in curves.items() if c[-1]["queries"] == budget}
    most = max((row[HEADLINE] for row in last.values()), default=0.0)
    equal = {name: row for name, row in last.items() if row[HEADLINE] == most}
    sound = {name for name, row in equal.items() if row["converged"] and name not in suspects}
    return most, sound or set(equal)


def unconverged(curves: Mapping[str, Sequence[Row]]) -> list[Flag]:
    """Attacks that stopped before they converged: what they reached is a lower bound."""
    flags = []
    for name, curve in curves.items():
        late = [row for row in curve if row.get("begun", 1) and not row["converged"]]
        if late:
            ended = "" if late[-1] is curve[-1] else EARLY
            queries = ", ".join(str(row["queries"]) for row in late)
            text = f"{name}: not converged at {queries} queries"
            flags.append(Flag(NOTE, text, ended or LATE, name))
    return flags


def not_begun(curves: Mapping[str, Sequence[Row]]) -> list[Flag]:
    """Attacks that had nothing to fit at a checkpoint: still buying, or told nothing of use."""
    flags = []
    for name, curve in curves.items():
        if blank := [row for row in curve if not row.get("begun", 1)]:
            queries = ", ".join(str(row["queries"]) for row in blank)
            text = f"{name}: at {queries} queries it had nothing to fit yet"
            flags.append(Flag(NOTE, text, UNBEGUN if blank[-1] is curve[-1] else BUYING, name))
    return flags


def oracles(attacks: Mapping[str, Attack], ran: Collection[str]) -> list[str]:
    """Name the attacks that ran and were shown the victim."""
    return [name for name, attack in attacks.items() if attack.oracle and name in ran]


def labels_only(attacks: Mapping[str, Attack], ran: Collection[str]) -> list[str]:
    """Name the attacks that ran and used nothing but labels."""
    return [name for name, attack in attacks.items() if attack.labels_only and name in ran]


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

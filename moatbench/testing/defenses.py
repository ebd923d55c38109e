"""The contract of a defense."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from moatbench.api import Deployment
from moatbench.compose.words.old_forms import refuse_old_form
from moatbench.defense import Defense, Marks, evidence_of
from moatbench.judge.customers.quality import is_top
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.serving.deployment import keeps, recount
from moatbench.strategies.simulation import with_knobs
from moatbench.testing.evidence import (
    BATCHES,
    SEED,
    difference,
    frozen,
    no_writing,
    traffic,
)
from moatbench.testing.inverses import check_inverse
from moatbench.testing.words import check_words, says
from moatbench.types import Array, Generator, Mask
from moatbench.victim import SIMPLEX_TOLERANCE, Victim

ALICE = "alice"
NAMES = ("honest-0", "adversary", "9f3c61d2a07be845")


def check_defense(victim: Victim, defense: Defense) -> str:
    """It answers validly, starts afresh, keeps accounts and rows apart, does what it declares.

    The same rows are asked singly and in batches, as several accounts, with equal answers, alarms,
    marks and waits: a run asks a defense of ours in batches for that reason. A service that is
    restarted with what `traits.memory` says it must keep answers on as if it had not been.
    """
    refuse_old_form(defense)
    x, name = traffic(victim), type(defense).__name__
    victim = _replayed(victim, x)
    try:
        fresh = _deployed(victim, defense)
    except ValueError as error:
        return str(error)
    untouched = _copied(fresh)
    answers = _ask(fresh, x)
    found = _found(fresh)
    _check_answers(answers, defense, victim)
    _check_declarations(answers, defense, victim.predict(x))
    check_words(defense, answers, victim, x)
    check_inverse(defense, answers, victim, victim.predict(x), x)

    def gap(one: _Watch, batch: int, account: str = ALICE, neighbour: Array | None = None) -> str:
        told = _ask(one, x, batch, neighbour, account)
        seen = _found(one, account)
        if neighbour is not None:  # who is told marks of its own, which are found as well
            seen = seen._replace(marks=found.marks)
        return difference(answers, told) or _unlike(found, seen)

    def same(one: _Watch, charge: str, batch: int = 64, **who: Any) -> None:
        unlike = gap(one, batch, **who)
        assert not unlike, f"{name}: {charge}: {unlike}"

    def alike(charge: str, batch: int = 64, **who: Any) -> None:
        copied = untouched and _copied(untouched)
        if copied and not gap(copied, batch, **who):
            return
        # A copy may share with its original what a deployment of its own would not.
        same(_deployed(victim, defense), charge, batch, **who)

    same(_deployed(victim, defense), "deployed afresh on the same rng, it answers otherwise")
    for batch in BATCHES:
        alike(f"in batches of {batch}, it answers otherwise", batch)
    noise = defense.traits.noise
    if noise is None or noise.mode != "fresh":  # which is drawn for each account
        for account in NAMES:
            alike(f"to {account}, it answers otherwise than to {ALICE}", account=account)
    if not defense.traits.shared:
        charge = "mallory's queries changed alice's answers, and it does not say `shared`"
        alike(charge, neighbour=x[::-1])
    if (memory := keeps(defense)) != "rows":  # to meet rows again is to ask them in a batch
        copied = untouched and _copied(untouched)
        unlike = _forgetful(copied or _deployed(victim, defense), x, answers, memory)
        charge = f"says memory={memory}, and answers otherwise when that is all it has of the past"
        assert not unlike, f"{name} {charge}: {unlike}"
    if defense.harmless is not None:
        charge = f"declared harmless, {dict(defense.harmless)} is not the same as no defense"
        weak = _ask(_deployed(victim, with_knobs(defense, defense.harmless)), x)
        unlike = difference(weak, _ask(_deployed(victim, Defense()), x))
        assert not unlike, f"{name}: {charge}: {unlike}"
    return ""


def _forgetful(restarted: "_Watch", x: Array, answers: Reply, memory: str) -> str:
    """Say how a restarted service would answer the second half of x (n, d) otherwise."""
    half = len(x) // 2
    if memory == "counts":
        recount(restarted, ALICE, half)
    late = np.arange(len(x)) >= half
    return difference(answers.take(late), _ask(restarted, x[half:]))


def _deployed(victim: Victim, defense: Defense) -> "_Watch":
    return _Watch(victim, _Watched(defense), stream(SEED, "defense"))


def _copied(deployment: "_Watch") -> "_Watch | None":
    """Copy what is deployed, which is cheaper than to deploy; None where it cannot be copied."""
    victim = deployment.victim
    try:
        return deepcopy(deployment, {id(victim): victim})
    except Exception:  # a lock, an open file: a defense may be anybody's code
        return None


class _Found(NamedTuple):
    """What a defense has found of an account, and how long that waited."""

    alarm: int | None
    marks: Marks | None
    waited: float


def _found(deployment: "_Watch", account: str = ALICE) -> _Found:
    alarms, marks = evidence_of(deployment.defense.watched)
    return _Found(alarms.get(account), marks, deployment.waited)


def _unlike(one: _Found, two: _Found) -> str:
    """Say what was found otherwise; '' for nothing. Who was told a mark is another's matter."""
    if one.alarm != two.alarm:
        return f"its first alarm is at query {one.alarm}, then {two.alarm}"
    if (one.marks is None) != (two.marks is None):
        return "marks were planted once, and once they were not"
    if one.marks is not None and two.marks is not None:
        same = np.array_equal(one.marks.x, two.marks.x, equal_nan=True)
        if not same or not np.array_equal(one.marks.labels, two.marks.labels):
            return f"it planted {len(one.marks.x)} marks, then {len(two.marks.x)} or others"
    if not np.isclose(one.waited, two.waited, rtol=1e-9):
        return f"alice waits for {one.waited:g} s, then for {two.waited:g} s"
    return ""


def _ask(
    deployment: "_Watch",
    x: Array,
    batch: int = 64,
    neighbour: Array | None = None,
    account: str = ALICE,
) -> Reply:
    """Ask all rows as an account; mallory asks the rows of `neighbour` in between.

    A refused row has label 0 and outputs of NaN.
    """
    before, victim, defense = x.copy(), deployment.victim, deployment.defense
    name = defense.name
    labels, refused = np.zeros(len(x), dtype=np.int64), np.ones(len(x), dtype=bool)
    outputs = np.full((len(x), len(victim.classes)), np.nan)
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        with no_writing(name):
            if neighbour is not None:
                deployment.answer(neighbour[part], "mallory")
            answers, waits = deployment.serve(x[part], account)
            assert waits >= 0, f"{name} makes time run backwards"
            says(defense.watched, waits > 0, f"makes {account} wait", "costs")
            deployment.waited += waits
        rows = start + answers.rows
        labels[rows], refused[rows] = answers.labels, False
        outputs[rows] = np.nan if answers.outputs is None else answers.outputs
    assert np.array_equal(x, before, equal_nan=True), f"{name} wrote to the rows of a query"
    return Reply(labels, outputs, refused=refused)


class _Watched(Defense):
    """Passes everything on to a defense, and checks the form of what comes back."""

    def __init__(self, defense: Defense) -> None:
        self.watched, self.name = defense, type(defense).__name__

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.watched.deploy(victim, rng)

    def admit(self, x: Array, account: str) -> Mask:
        mask = self.watched.admit(x, account)
        form = f"{getattr(mask, 'dtype', type(mask).__name__)} of shape {np.shape(mask)}"
        assert form == f"bool of shape ({len(x)},)", (
            f"{self.name}.admit was asked about {len(x)} rows, and returned {form}; it must "
            "return a bool for each"
        )
        return mask

    def wait(self, n: int, account: str) -> float:
        return self.watched.wait(n, account)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        reply = self.watched.respond(x, reply, account)
        assert isinstance(reply, Reply), f"{self.name}.respond returned a {type(reply).__name__}"
        for field in ("labels", "outputs", "path", "refused"):
            value = getattr(reply, field)
            assert value is None or len(value) == len(x), (
                f"{self.name}.respond was given {len(x)} rows, and returned {len(value)} {field}"
            )
        return reply


class _Watch(Deployment):
    """A deployment of a watched defense."""

    defense: _Watched
    waited = 0.0  # by the account that asks


def _check_answers(answers: Reply, defense: Defense, victim: Victim) -> None:
    """Labels are classes; outputs are all NaN or probabilities (of any sum, once minimised).

    The one output of a regression victim is any finite number.
    """
    name, labels, outputs = type(defense).__name__, answers.labels, answers.outputs
    assert outputs is not None
    outside = (labels < 0) | (labels >= outputs.shape[1])
    assert not outside.any(), f"{name} answers {labels[outside][:1]}, of {outputs.shape[1]} classes"
    untold = np.isnan(outputs)
    partly = untold.any(axis=1) & ~untold.all(axis=1)
    assert not partly.any(), f"{name} answers {outputs[partly][:1]}; a row is told, or all NaN"
    told = outputs[~untold.any(axis=1)]
    if len(victim.classes) == 1:
        assert np.isfinite(told).all(), f"{name} answers {told[~np.isfinite(told)][:1]}, no value"
        return
    bad = ~((told >= 0) & (told <= 1)).all(axis=1)
    assert not bad.any(), f"{name} answers {told[bad][:1]}, outside [0, 1]"
    if "minimise" not in defense.traits.stages:
        total, excess = "one" if victim.full else "one at most", told.sum(axis=1) - 1
        off = (np.abs(excess) if victim.full else excess) > SIMPLEX_TOLERANCE
        assert not off.any(), (
            f"{name} answers {told[off][:1]}, which does not sum to {total}; only a defense that "
            "quantises, truncates or withholds may do that"
        )


def _check_declarations(answers: Reply, defense: Defense, truth: Reply) -> None:
    """What the defense says of itself holds: confidences, kept labels, alarms."""
    name, refused, outputs = type(defense).__name__, answers.refused, answers.outputs
    assert refused is not None
    assert outputs is not None
    silent = bool(np.isnan(outputs).all())
    assert defense.traits.confidences or silent, f"{name} says confidences=False, and tells some"
    if defense.traits.keeps_labels:
        changed = ~refused & (answers.labels != truth.labels)
        assert not changed.any(), f"{name} says keeps_labels, and changed {changed.sum()}"
        if truth.outputs is not None and truth.outputs.shape[1] > 1:
            sure = ~refused & is_top(truth.outputs, truth.labels)
            other = sure & ~is_top(outputs, truth.labels)
            assert not other.any(), (
                f"{name} says keeps_labels, and told another class with more confidence "
                f"{other.sum()} times; keep the top confidence too, or say keeps_labels=False"
            )
    for account, queries in evidence_of(defense).alarms.items():
        assert account == "alice", f"{name} is alarmed by {account!r}, who asked nothing"
        within = 1 <= queries <= len(answers)
        assert within, f"{name} tells a first alarm at query {queries} of {len(answers)}"


def _replayed(victim: Victim, x: Array) -> Victim:
    """Return the victim with its answers learnt by heart: no batch size can sway them.

    Rows that a defense asks beside `x` are answered one at a time, and then known as well.
    """
    whole = victim.predict(x)
    known = {row.tobytes(): _row(whole, place) for place, row in enumerate(x)}

    def predict(asked: Array) -> Reply:
        for row in asked:
            if row.tobytes() not in known:
                known[row.tobytes()] = _row(victim.predict(row[None]), 0)
        found = [known[row.tobytes()] for row in asked]
        if not found:
            return victim.predict(asked)
        labels, outputs, path = zip(*found, strict=True)
        return Reply(np.array(labels, np.int64), _stacked(outputs), _stacked(path))

    return replace(victim, predict=predict)


def _stacked(rows: Sequence[Array | None]) -> Array | None:
    return None if rows[0] is None else frozen(np.array(rows))


def _row(reply: Reply, place: int) -> tuple[Any, Any, Any]:
    """Take one row's label, outputs and path."""
    return (
        reply.labels[place],
        None if reply.outputs is None else reply.outputs[place],
        None if reply.path is None else reply.path[place],
    )

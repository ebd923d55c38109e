"""What is random in a defense: asked a hair beside a row, a step beside it, and under three keys.

What a difference means, beyond what the victim's own answer moves:

| declared | 1e-9 of the range beside | 1e-3 of the range beside |
|---|---|---|
| deterministic | keyed noise, of cells too small for a row | keyed noise of larger cells |
| keyed | a cell holds no row: whoever asks around it draws anew, as of fresh noise | is told |
| fresh | nothing: it differs in the same place too | nothing |
"""

from copy import deepcopy
from typing import NamedTuple

import numpy as np

from moatbench.api import Deployment
from moatbench.defense import Defense, evidence_of
from moatbench.record.flag import BOUND, INVALID, NOTE, Flag
from moatbench.runner.checks.twin import nobody, told, twin
from moatbench.space import InputSpace
from moatbench.types import Array, Mask
from moatbench.victim import Victim

ROWS, BATCH = 100, 10  # of the test data
HAIR, STEP = 1e-9, 1e-3  # shares of each numeric column's range
BITS = (HAIR, STEP, 1e-2)
SAME = {HAIR: 1e-6, STEP: 1e-2}  # confidences that a smooth answer may move by
STEEP = 10  # times what the victim's own answer moves: a jump, and no slope
HALF = 0.5  # of the rows: a rule has edges, and few rows lie that near to one
OFF = 0.01  # of the range: data lie on lattices of their own, and so on the edges of grids
KEYS = 3
FELT, TIMES = 0.05, 10  # L1 distance that is felt, and how much smaller a spared row's is
ERRORS = 4.0  # standard errors, by which more rows are spared than are picked out
WITHHELD = 2.0  # L1 distance of a refusal from any answer


class Beside(NamedTuple):
    """Rows of which a neighbour was asked, and which share of the neighbours was told otherwise."""

    rows: int
    hair: float
    step: float


class OverKeys(NamedTuple):
    """The least and the most that honest rows lose under several keys: L1, and labels kept."""

    keys: int
    l1_least: float
    l1_most: float
    labels_least: float
    labels_most: float


def mode(layer: Defense) -> str:
    """What a defense says of its randomness: fresh, keyed, or '' for none."""
    noise = layer.traits.noise
    return "" if noise is None else noise.mode


def beside(deployment: Deployment, account: str) -> Beside:
    """Ask test rows, then their neighbours, ten at a time, as one account; end at an alarm."""
    victim = deployment.victim
    bare = Deployment(victim, Defense(), np.random.default_rng(0))
    x = victim.shares.x_test[:ROWS]
    x = moved(x, victim.space, OFF * np.random.default_rng(0).uniform(0, 1, x.shape))
    found: tuple[list[Mask], list[Mask]] = ([], [])
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH]
        near = [moved(rows, victim.space, by) for by in (HAIR, STEP)]
        own, *own_near = (told(bare, at, account) for at in (rows, *near))
        first, *seen = (told(deployment, at, account) for at in (rows, *near))
        if account in evidence_of(deployment.defense).alarms:
            break
        for jumps, by, one, two in zip(found, (HAIR, STEP), seen, own_near, strict=True):
            jumps.append(jumped((first, one), (own, two), SAME[by]))
    if not found[0]:
        return Beside(0, float("nan"), float("nan"))
    shares = [float(np.concatenate(jumps).mean()) for jumps in found]
    return Beside(sum(map(len, found[0])), *shares)


def spared(victim: Victim, layer: Defense, seed: int) -> str:
    """Say in how many test rows it is true, and a bit beside it is not; '' where in few.

    Each time it is freshly deployed, so that it has seen no other of these rows.

    Customers ask the test rows, and nobody can know which: where both are equal to a defense,
    the one is off the truth as often as the other.
    """
    x, account = victim.shares.x_test[:ROWS], nobody(seed, "spared")
    lost = []
    for at in (x, *(moved(x, victim.space, by) for by in BITS)):
        told_, truth = (
            _whole(told(twin(victim, deepcopy(one), seed), at, account))
            for one in (layer, Defense())
        )
        off = np.abs(told_ - truth)
        lost.append(np.nan_to_num(off[:, 1:].sum(axis=1), nan=WITHHELD) + (off[:, 0] > 0))
    for near, by in zip(lost[1:], BITS, strict=True):
        better = int(((near > FELT) & (lost[0] < near / TIMES)).sum())
        worse = int(((lost[0] > FELT) & (near < lost[0] / TIMES)).sum())
        if better - worse > ERRORS * max(1, better + worse) ** 0.5:
            return f"{better} of {len(x)} test rows are told the truth, and {by:g} beside not"
    return ""


def jumped(told: tuple[Array, Array], true: tuple[Array, Array], within: float) -> Mask:
    """(n,) whether the answers to two neighbours differ by more than the victim's own do."""
    (one, two), (own, own_two) = told, true
    kept = np.isnan(one) == np.isnan(two)
    same_label = (one[:, 0] == two[:, 0]) | np.isnan(one[:, 0]) | (own[:, 0] != own_two[:, 0])
    by, own_by = (
        np.nan_to_num(np.abs(a - b)[:, 1:]).max(axis=1, initial=0.0)
        for a, b in ((one, two), (own, own_two))
    )
    return np.asarray(~(kept.all(axis=1) & same_label & (by <= within + STEEP * own_by)))


def over_keys(victim: Victim, layer: Defense, seed: int) -> OverKeys:
    """Deploy a keyed defense under several keys, and ask the same honest rows of each."""
    x = victim.shares.x_test[:ROWS]
    account = nobody(seed, "keys")
    truth = _whole(told(twin(victim, Defense(), seed), x, account))
    lost, kept = [], []
    for key in range(KEYS):
        deployed = twin(victim, deepcopy(layer), seed, f"selfcheck key {key}")
        answers = told(deployed, x, account)
        away = np.abs(_whole(answers) - truth)[:, 1:].sum(axis=1)
        lost.append(float(np.where(np.isnan(away), WITHHELD, away).mean()))
        kept.append(float((answers[:, 0] == truth[:, 0]).mean()))
    return OverKeys(KEYS, min(lost), max(lost), min(kept), max(kept))


def _whole(answers: Array) -> Array:
    """Take a label without outputs for certainty in it; what was refused stays NaN."""
    out = answers.copy()
    bare = np.isnan(out[:, 1:]).all(axis=1) & ~np.isnan(out[:, 0])
    if out.shape[1] > 2:  # classes
        out[bare, 1:] = np.eye(out.shape[1] - 1)[out[bare, 0].astype(int)]
    return out


def of_beside(layer: Defense, near: Beside) -> list[Flag]:
    """Say where neighbours show that a declaration is wrong."""
    found = []
    declared = mode(layer)
    for share, by in ((near.hair, HAIR), (near.step, STEP)):
        if not share > HALF:
            continue
        said = f"it answered {100 * share:.0f} % of {near.rows} rows otherwise {by:g} of the range"
        if not declared:
            line = f"declared deterministic, {said} beside: that is keyed noise"
            found.append(Flag(INVALID, line, "undeclared keyed noise"))
        elif by == HAIR:
            line = f"declared keyed, {said} beside: its noise averages as fresh noise does"
            found.append(Flag(BOUND, line, "keyed as good as fresh"))
    return found


def of_keys(keys: OverKeys) -> Flag:
    """Say what one key leaves open."""
    return Flag(
        NOTE,
        f"keyed, and attacked under one key; under {keys.keys} keys honest rows lose "
        f"{keys.l1_least:.3g} to {keys.l1_most:.3g} in L1 and keep "
        f"{100 * keys.labels_least:.0f} to {100 * keys.labels_most:.0f} % of the labels",
        "one key",
    )


def moved(x: Array, space: InputSpace, by: float | Array) -> Array:
    """Move every numeric feature by a share of its range, within its bounds and to its steps.

    By a step at least, unless the share is a hair: then a feature with steps stays.
    """
    columns = space.numeric
    low, high = space.low[columns], space.high[columns]
    step = (by if isinstance(by, float) else by[:, columns]) * (high - low)
    if isinstance(by, float) and by > HAIR:
        step = np.maximum(step, space.steps[columns])
    at = x.copy()
    at[:, columns] += np.where(x[:, columns] + step > high, -step, step)
    return space.answered(at)

"""Whether a defense is what it declares, seen on a twin of it that no attack has met."""

from collections.abc import Mapping
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from moatbench.api import Deployment
from moatbench.compose.errors import explain
from moatbench.compose.origin import ours
from moatbench.defense import Defense, evidence_of
from moatbench.judge.accounts import Accounts
from moatbench.judge.trail import Trail
from moatbench.record.flag import INVALID, Flag
from moatbench.runner.impartial import SAME, Impartiality, same
from moatbench.runner.secret import stream_of
from moatbench.space import InputSpace
from moatbench.strategies.simulation import with_knobs
from moatbench.types import Array, Mask
from moatbench.victim import Victim

ROWS = 100  # of the test data
BATCH = 10
JITTER = 1e-9  # in the units of the input
SAME_IF_JITTERED = 1e-6  # the victim's own answers move along


class Repeated(NamedTuple):
    """Rows of a fresh account asked twice: how many, and which share was answered otherwise.

    `jittered` is the share that was answered otherwise `JITTER` away; NaN if that was not asked.
    """

    rows: int
    varied: float
    jittered: float


def of_layers(
    victim: Victim, layers: Mapping[str, Defense], seed: int
) -> tuple[list[Flag], dict[str, Repeated]]:
    """Deploy each layer anew, alone; return flags, and what repeats showed.

    Args:
        victim: what the layers stand before.
        layers: by name; none for no defense.
        seed: of the run; the check has a stream of its own.
    """
    flags: list[Flag] = []
    seen: dict[str, Repeated] = {}
    for name, layer in layers.items():
        try:
            lines = _strength_zero(victim, layer, seed)
            seen[name] = repeated(victim, layer, seed)
            lines += _variation(victim, layer, seen[name])
            flags += [Flag(INVALID, f"{name}: {line}") for line in lines]
            partial = Impartiality(victim, layer, seed).problems(repeats=seen[name].varied == 0)
            flags += [flag._replace(text=f"{name}: {flag.text}") for flag in partial]
        except Exception as error:  # a defense may be anybody's code; what was measured stands
            flags.append(Flag(INVALID, f"{name}: the self-check failed: {explain(error)}"))
    return flags, seen


def _strength_zero(victim: Victim, layer: Defense, seed: int) -> list[str]:
    """At the knobs that it declares harmless, a defense answers what the victim does."""
    if layer.harmless is None:
        return []
    x = victim.shares.x_test[:ROWS]
    bare, weak = (
        told(_alone(victim, defense, seed), x, seed)
        for defense in (Defense(), with_knobs(layer, layer.harmless or {}))
    )
    wrong = int((~same(bare, weak, SAME)).sum())
    if not wrong:
        return []
    return [f"at strength zero it is not the same as no defense: {wrong} of {len(x)} rows differ"]


def repeated(victim: Victim, layer: Defense, seed: int) -> Repeated:
    """Ask test rows twice, ten at a time, as one fresh account; end at an alarm."""
    deployment, account = _alone(victim, deepcopy(layer), seed), _account(seed)
    keyed = _mode(layer) == "keyed"
    equal: list[Mask] = []
    near: list[Mask] = []
    x = victim.shares.x_test[:ROWS]
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH]
        first, again = told(deployment, rows, seed), told(deployment, rows, seed)
        beside = told(deployment, _jittered(rows, victim.space), seed) if keyed else first
        if account in evidence_of(deployment.defense).alarms:
            break
        equal.append(same(first, again, SAME))
        near.append(same(first, beside, SAME_IF_JITTERED))
    if not equal:
        return Repeated(0, float("nan"), float("nan"))
    moved = 1 - float(np.concatenate(near).mean()) if keyed else float("nan")
    return Repeated(sum(map(len, equal)), 1 - float(np.concatenate(equal).mean()), moved)


def _variation(victim: Victim, layer: Defense, seen: Repeated) -> list[str]:
    """What is declared deterministic repeats itself, and what is declared fresh does not."""
    if not seen.rows:
        return []
    fresh = _mode(layer) == "fresh"
    if seen.varied and not fresh:
        declared = _mode(layer) or "deterministic"
        share = f"{100 * seen.varied:.0f} % of {seen.rows} rows"
        return [f"declared {declared}, it answered {share} otherwise when asked again"]
    # A monitor's response may be noisy, but nobody was in alarm; labels alone carry no such noise.
    silent = "watch" in layer.traits.stages
    if fresh and not seen.varied and not silent and victim.confidences:
        return [f"declared fresh noise, it answered {seen.rows} rows the same when asked again"]
    return []


def _mode(layer: Defense) -> str:
    noise = layer.traits.noise
    return "" if noise is None else noise.mode


def _alone(victim: Victim, layer: Defense, seed: int) -> Trail:
    """Deploy a layer as a run does."""
    return Trail(victim, layer, stream_of(layer, seed, "selfcheck"), singly=not ours(layer))


def _account(seed: int) -> str:
    return Accounts.of(seed).token("selfcheck", "")


def told(deployment: Deployment, x: Array, seed: int) -> Array:
    """(n, 1 + k) the label and the outputs of each row; NaN for what was not told."""
    answers = deployment.answer(x, _account(seed))
    out = np.full((len(x), 1 + len(deployment.victim.classes)), np.nan)
    out[answers.rows, 0] = answers.labels
    if answers.outputs is not None:
        out[answers.rows, 1:] = answers.outputs
    return out


def _jittered(x: Array, space: InputSpace) -> Array:
    """Move every numeric feature by `JITTER`, within its bounds."""
    columns = space.numeric
    step = np.where(x[:, columns] + JITTER > space.high[columns], -JITTER, JITTER)
    at = x.copy()
    at[:, columns] += step
    return at

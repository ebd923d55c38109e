"""Whether a defense is what it declares, seen on a twin of it that no attack has met."""

from collections.abc import Mapping
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from moatbench.api import Deployment
from moatbench.compose.origin import ours
from moatbench.compose.words.errors import explain
from moatbench.defense import Defense, evidence_of
from moatbench.record.flag import INVALID, INVERSE, SPARED, Flag
from moatbench.remote.client import Stopped
from moatbench.runner.checks.impartial import Impartiality
from moatbench.runner.checks.inverse import lost
from moatbench.runner.checks.neighbours import beside, mode, of_beside, of_keys, over_keys, spared
from moatbench.runner.checks.standing import left_standing
from moatbench.runner.checks.twin import SAME, nobody, same, told, twin
from moatbench.strategies.simulation import with_knobs
from moatbench.types import Mask
from moatbench.victim import Victim

ROWS = 100  # of the test data
BATCH = 10


class Repeated(NamedTuple):
    """Rows of a fresh account asked twice: how many, and which share was answered otherwise."""

    rows: int
    varied: float


def of_layers(
    victim: Victim, layers: Mapping[str, Defense], seed: int
) -> tuple[list[Flag], dict[str, dict[str, float]]]:
    """Deploy each layer anew, alone; return flags, and what repeats and neighbours showed.

    Args:
        victim: what the layers stand before.
        layers: by name; none for no defense.
        seed: of the run; the check has a stream of its own.
    """
    flags: list[Flag] = []
    seen: dict[str, dict[str, float]] = {}
    for name, layer in layers.items():
        found: list[Flag] = []
        try:
            _check(victim, layer, seed, found, seen.setdefault(name, {}))
        except Stopped:
            raise
        except Exception as error:  # a defense may be anybody's code; what was measured stands
            found.append(Flag(INVALID, f"the self-check failed: {explain(error)}"))
        flags += [one._replace(text=f"{name}: {one.text}") for one in found]
    return flags, seen


def _check(
    victim: Victim, layer: Defense, seed: int, found: list[Flag], seen: dict[str, float]
) -> None:
    """Check one layer; what is found is added as it is found."""
    found += [Flag(INVALID, line) for line in _strength_zero(victim, layer, seed)]
    deployment = twin(victim, deepcopy(layer), seed)
    again = repeated(deployment, nobody(seed))
    seen |= again._asdict()
    if standing := left_standing(victim, deepcopy(layer), seed):
        seen |= standing._asdict()
    found += [Flag(INVALID, line) for line in _variation(victim, layer, again)]
    found += Impartiality(victim, layer, seed).problems(repeats=again.varied == 0)
    if not ours(layer) and (rows := spared(victim, layer, seed)):
        found.append(Flag(INVALID, f"it knows the rows that customers ask: {rows}", SPARED))
    if not ours(layer) and (text := lost(victim, layer, seed)):
        found.append(Flag(INVALID, text, INVERSE))
    if mode(layer) == "fresh" or again.varied:
        return  # it answers otherwise in the same place: nothing is to be seen beside it
    near = beside(deployment, nobody(seed, "beside"))
    seen |= {"hair": near.hair, "step": near.step}
    found += of_beside(layer, near)
    if mode(layer) == "keyed":
        keys = over_keys(victim, layer, seed)
        seen |= keys._asdict()
        found.append(of_keys(keys))


def _strength_zero(victim: Victim, layer: Defense, seed: int) -> list[str]:
    """At the knobs that it declares harmless, a defense answers what the victim does."""
    if layer.harmless is None:
        return []
    x = victim.shares.x_test[:ROWS]
    bare, weak = (
        told(twin(victim, defense, seed), x, nobody(seed))
        for defense in (Defense(), with_knobs(layer, layer.harmless or {}))
    )
    wrong = int((~same(bare, weak, SAME)).sum())
    if not wrong:
        return []
    return [f"at strength zero it is not the same as no defense: {wrong} of {len(x)} rows differ"]


def repeated(deployment: Deployment, account: str) -> Repeated:
    """Ask test rows twice, ten at a time, as one fresh account; end at an alarm."""
    equal: list[Mask] = []
    x = deployment.victim.shares.x_test[:ROWS]
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH]
        first, again = (told(deployment, rows, account) for _ in range(2))
        if account in evidence_of(deployment.defense).alarms:
            break
        equal.append(same(first, again, SAME))
    if not equal:
        return Repeated(0, float("nan"))
    return Repeated(sum(map(len, equal)), 1 - float(np.concatenate(equal).mean()))


def _variation(victim: Victim, layer: Defense, seen: Repeated) -> list[str]:
    """What is declared deterministic repeats itself, and what is declared fresh does not."""
    if not seen.rows:
        return []
    fresh = mode(layer) == "fresh"
    if seen.varied and not fresh:
        declared = mode(layer) or "deterministic"
        share = f"{100 * seen.varied:.0f} % of {seen.rows} rows"
        return [f"declared {declared}, it answered {share} otherwise when asked again"]
    # A monitor's response may be noisy, but nobody was in alarm; labels alone carry no such noise.
    silent = "watch" in layer.traits.stages
    if fresh and not seen.varied and not silent and victim.confidences:
        return [f"declared fresh noise, it answered {seen.rows} rows the same when asked again"]
    return []

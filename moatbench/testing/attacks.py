"""The contract of an attack, and of a whole run."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.compose.words.old_forms import refuse_old_form
from moatbench.defense import Defense
from moatbench.judge.judge import Judge
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.testing.evidence import SEED, frozen, no_writing, undeployable
from moatbench.types import Array, Generator, Mask
from moatbench.victim import NotApplicable, Victim

CHECKPOINTS = (20, 60, 150)
PRICE = 0.01


class RefuseAll(Defense):
    """The harshest defense there is: no answer to anybody."""

    def admit(self, x: Array, account: str) -> Mask:
        return np.zeros(len(x), dtype=bool)


class TellLabels(Defense):
    """Documented to answer confidences, it answers labels only, as after an alarm."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return reply if reply.outputs is None else reply.with_outputs(reply.outputs * np.nan)


class Patchy(Defense):
    """Of every three rows, it withholds one, tells the label of one, and answers one in full."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._asked: dict[str, int] = {}

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        asked = self._asked.get(account, 0)
        self._asked[account] = asked + len(x)
        turn = (asked + np.arange(len(x))) % 3
        if reply.outputs is not None:
            reply = reply.with_outputs(np.where(turn[:, None] == 1, np.nan, reply.outputs))
        return reply.refuse(turn == 0)


HARSH: tuple[Defense, ...] = (RefuseAll(), TellLabels(), Patchy())


def check_attack(victim: Victim, attack: Attack, checkpoints: Sequence[int] = CHECKPOINTS) -> str:
    """It pays for every answer, writes to nobody's arrays, and goes on when it is told little."""
    refuse_old_form(attack)
    victim = replace(victim, shares=replace(victim.shares, pool=frozen(victim.shares.pool)))
    if reason := check_run(victim, Defense(), attack, checkpoints):
        return reason
    _check_payment(victim, attack, checkpoints)
    judge = Judge(victim, stream(SEED, "judge"))
    for defense in HARSH:
        _curve(victim, defense, attack, checkpoints, judge)
    return ""


def check_run(
    victim: Victim,
    defense: Defense,
    attack: Attack,
    checkpoints: Sequence[int] = CHECKPOINTS,
    twice: bool = True,
) -> str:
    """Together they draw the whole curve, and, if `twice`, draw it again from the same seed."""
    if reason := undeployable(victim, defense):
        return reason
    judge = Judge(victim, stream(SEED, "judge"))
    try:
        curve = _curve(victim, defense, attack, checkpoints, judge)
        again = _curve(victim, defense, attack, checkpoints, judge) if twice else curve
    except NotApplicable as inapplicable:
        return str(inapplicable)
    for point, twin in zip(curve, again, strict=True):
        one, two = _facts(point), _facts(twin)
        differ = sorted(key for key in one | two if one.get(key) != two.get(key))
        assert not differ, (
            f"{_pair(attack, defense)}: the same seed drew another curve; at "
            f"{point.queries} queries differ {', '.join(differ)}"
        )
    return ""


def _check_payment(victim: Victim, attack: Attack, checkpoints: Sequence[int]) -> None:
    """Every row that reaches the victim was metered."""
    name, reached = type(attack).__name__, 0

    def spied(x: Array) -> Reply:
        nonlocal reached
        reached += len(x)
        return victim.predict(x)

    spy = replace(victim, predict=spied)
    api = MeteredAPI(Deployment(spy, Defense(), stream(SEED, "defense")), checkpoints)
    reached = 0  # a victim is asked when it is made
    for _ in attack.run(Target(api, victim.shares.pool), stream(SEED, "attack")):
        metered = f"{reached} rows reached the victim, {api.queries} were metered"
        assert reached == api.queries, f"{name}: {metered}"
        if api.queries == api.budget:
            break


def _curve(
    victim: Victim, defense: Defense, attack: Attack, checkpoints: Sequence[int], judge: Judge
) -> list[Checkpoint]:
    """Run to the end; whatever the attack raises but NotApplicable breaks the contract."""
    pair = _pair(attack, defense)
    try:
        with no_writing(type(attack).__name__):
            curve = list(Extraction(victim, defense, attack, checkpoints, SEED, PRICE, judge))
    except NotApplicable:
        raise
    except Exception as error:  # an attack may be anybody's code
        raise AssertionError(f"{pair} raised {type(error).__name__}: {error}") from error
    reached = [point.queries for point in curve]
    assert reached == list(checkpoints), f"{pair}: a curve of {reached}, not of {checkpoints}"
    return curve


def _facts(point: Checkpoint) -> dict[str, str | bytes]:
    """What must not change from run to run, in a form in which NaN equals NaN."""
    facts: dict[str, str | bytes] = {k: repr(v) for k, v in point.row().items() if k != "seconds"}
    return facts | {f"parameter {k}": v.tobytes() for k, v in point.parameters.items()}


def _pair(attack: Attack, defense: Defense) -> str:
    return f"{type(attack).__name__} against {type(defense).__name__}"

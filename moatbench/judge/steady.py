"""Whether a victim answers the same rows the same: after a run as before, and one row at a time.

Who is compared with a model that does not is compared with nothing: fidelity, and what customers
lose, are then the model's own noise. A network that was left in training mode is such a one.
"""

from collections.abc import Sequence

import numpy as np

from moatbench.judge.judge import Judge
from moatbench.judge.sample import FIRST
from moatbench.record.flag import INVALID, VARIES, Flag
from moatbench.reply import Reply, concatenated
from moatbench.types import Array
from moatbench.victim import Victim, reply_problem

ROWS, SINGLY = FIRST, 20
SAME = 1e-4  # of the range: a batch may move the last digits of single precision


def varies(victim: Victim, judge: Judge) -> list[Flag]:
    """Ask the victim again what the judge asked before the run; say where it answers otherwise."""
    for sample in judge.samples[:2]:
        x = sample.x[:ROWS]
        for way, parts in (
            ("together", [x]),
            ("one at a time", [row[None] for row in x[:SINGLY]]),
        ):
            n = sum(map(len, parts))
            before = sample.first.take(np.arange(len(sample.first)) < n)
            gap = _gap(before, parts, victim)
            if gap:
                said = f"of {n} {sample.name} rows, asked {way} after the run, {gap}"
                text = f"the victim does not answer as it did: {said}; put its model in eval mode"
                return [Flag(INVALID, text, VARIES)]
    return []


def _gap(before: Reply, parts: Sequence[Array], victim: Victim) -> str:
    """Say for how many rows the victim tells something else; '' for none."""
    k, told = len(victim.classes), []
    for x in parts:
        reply = victim.predict(x.copy())
        if problem := reply_problem(reply, len(x), k, full=victim.full):
            return f"the {problem}"
        told.append(reply)
    now = concatenated(told)
    other = before.labels != now.labels
    if before.outputs is None or now.outputs is None:
        other |= (before.outputs is None) is not (now.outputs is None)
    else:
        scale = max(float(np.ptp(before.outputs)), 1.0) if k == 1 else 1.0
        ordered = np.sort(before.outputs, axis=1)
        if k > 1:  # within the last digits of a tie
            other &= ordered[:, -1] - ordered[:, -2] > SAME
        other |= np.abs(before.outputs - now.outputs).max(axis=1) > SAME * scale
    return f"{other.sum()} otherwise" if other.any() else ""

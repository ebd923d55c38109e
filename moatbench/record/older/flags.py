"""Flags of records from before there were grades: lines of text, graded by what they say."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moatbench.record import flag
from moatbench.record.flag import BOUND, INVALID, NOTE, Flag
from moatbench.record.marks import naive_only

BROKEN = ("declared ", "at strength zero", "the self-check failed")  # of a defense, or its layer
LINES = {  # of those versions; the attack, and the last queries that the line names
    flag.LATE: r"(?P<attack>\S+): not converged at (?:.*, )?(?P<at>\d+) queries$",
    flag.FELL: r"(?P<attack>\S+): more queries gave less: .*, \S+ % at (?P<at>\d+)$",
    flag.ORACLE: r"upper bound: (?P<attack>\S+) saw the victim itself$",
    flag.LESS: r"\S+: more information gave less: .* and (?P<attack>\S+), which uses labels only",
}
BEFORE = {flag.LATE: flag.EARLY, flag.FELL: flag.FALL}  # the budget


def flags_of(tree: Mapping[str, Any]) -> list[Flag]:
    """Return the flags of a summary; where they have no grade, as one of today would have them."""
    told: Sequence[Any] = tree["flags"]
    if tree.get("version", 1) >= GRADED:
        return [Flag(**one) for one in told]
    budget = max(map(int, tree.get("checkpoints") or [0]))
    found = [Flag(**one) if isinstance(one, Mapping) else _read(str(one), budget) for one in told]
    worst = str(tree.get("winner") or tree.get("attack"))
    return _naive(tree) + flag.graded(found, {worst})


GRADED = 3  # the first version of summaries whose flags have grades and marks


def _naive(tree: Mapping[str, Any]) -> list[Flag]:
    """Say of a finished run what its marks said then."""
    finished = tree.get("status") == "finished"
    return naive_only(tree["kinds"], [tree["aware"]]) if finished else []


def _read(text: str, budget: int) -> Flag:
    """Grade a line; one that is not known bounds the number."""
    if any(known in text for known in BROKEN):
        return Flag(INVALID, text)
    for mark, pattern in LINES.items():
        if found := re.match(pattern, text):
            parts = found.groupdict()
            early = int(parts.get("at") or budget) < budget
            return Flag(NOTE, text, BEFORE[mark] if early else mark, parts["attack"])
    return Flag(BOUND, text)

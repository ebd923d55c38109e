"""Groups of honest customers, of whom the harm is told apart: classes, and a named subgroup."""

from collections.abc import Mapping

import numpy as np

from moatbench.types import Mask
from moatbench.victim import Victim


def groups(victim: Victim, subgroup: Mapping[str, Mask]) -> dict[str, Mask]:
    """Name the groups, each with (n,) the test rows that are theirs; empty ones are left out.

    Args:
        victim: whose test rows they are; a regression has no classes.
        subgroup: a rule, and the rows that it holds for.
    """
    out: dict[str, Mask] = {}
    for rule, inside in subgroup.items():
        out |= {rule: inside, f"not {rule}": ~inside}
    if len(victim.classes) > 1:
        y = victim.shares.y_test
        out |= {f"class {name}": np.asarray(y == c) for c, name in enumerate(victim.classes)}
    return {name: rows for name, rows in out.items() if rows.any()}

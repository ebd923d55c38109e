"""Whether a fresh deployment of a defense answers the same questions as the one under attack.

One that does not goes by more than its state and its stream: by a global, the clock, or by which
deployment comes first. Then no attack met what another met, and no check met what an attack did.
"""

import numpy as np

from moatbench.judge.trail import Trail
from moatbench.reply import Reply
from moatbench.runner.checks.twin import SAME, same
from moatbench.types import Array


def difference(attacked: Trail, fresh: Trail) -> str:
    """Ask a fresh deployment what the attacked one was asked at first; '' where all is alike.

    Nothing is said of a model that itself answers otherwise, or whose answers cost.
    """
    victim = attacked.victim
    if not attacked.said or victim.judged is not None:
        return ""
    x = np.concatenate([said.x for said in attacked.said])
    one, two = victim.predict(x), victim.predict(x)
    if not same(_array(one), _array(two), SAME).all():
        return ""
    try:
        wrong, n = attacked.repeated(fresh)
    except Exception as error:  # a defense may be anybody's code
        return f"a fresh deployment of the defense fails where the attacked one did not ({error})"
    if not wrong:
        return ""
    return (
        f"a fresh deployment of the defense answers {wrong} of {n} rows otherwise than the one "
        "that was attacked: it goes by more than its state and stream, as by a global or the clock"
    )


def _array(reply: Reply) -> Array:
    outputs = [] if reply.outputs is None else [reply.outputs]
    return np.column_stack([reply.labels, *outputs])

"""Whether the kinds that a defense says it is of are what it does."""

from collections.abc import Iterator

import numpy as np

from moatbench.defense import Defense, evidence_of
from moatbench.reply import Reply
from moatbench.solvers.grids import bounds, grid_of
from moatbench.testing.evidence import difference
from moatbench.types import Array, Mask, Rows
from moatbench.victim import Victim

CLOSE = 1e-9  # how far a true confidence may lie outside its step, for rounding errors
SPEECHLESS = ("withholds", "truncates", "tells_nothing")  # what may leave a row without confidences


def says(defense: Defense, does: bool | np.bool_, what: str, *words: str) -> None:
    """Raise an AssertionError where a defense does what none of its kinds says."""
    said = {*words, "other"} & defense.traits.kinds
    name, kinds = type(defense).__name__, ", ".join(sorted(defense.traits.kinds)) or "nothing"
    assert said or not does, f"{name} {what}; it must say {' or '.join(words)}, and says {kinds}"


def check_words(defense: Defense, answers: Reply, victim: Victim, x: Array) -> None:
    """Hold the words against the answers (n,) to rows x (n, d), refused ones as NaN."""
    for problem in _problems(defense, answers, victim, x):
        raise AssertionError(f"{type(defense).__name__} says {problem}")
    truth = victim.predict(x)
    refused, outputs, true = answers.refused, answers.outputs, truth.outputs
    assert refused is not None
    assert outputs is not None
    says(defense, refused.any(), "refuses rows", "refuses")
    says(defense, bool(defense.monitors), "has a monitor", "watches")
    says(defense, evidence_of(defense).marks is not None, "plants a watermark", "marks")
    if true is not None:
        told = ~np.isnan(outputs).any(axis=1)
        says(defense, (~told & ~refused).any(), "leaves rows without confidences", *SPEECHLESS)
        changed = not np.array_equal(outputs[told], true[told])
        if not defense.traits.touches_confidences:
            says(defense, changed, "changes confidences", "moves_inputs", "perturbs", "relabels")


def _problems(defense: Defense, answers: Reply, victim: Victim, x: Array) -> Iterator[str]:
    """Yield what is said and does not hold."""
    traits, outputs = defense.traits, answers.outputs
    assert outputs is not None
    kinds, again = traits.kinds, _asked_again(x)
    alike = _alike(answers, *again)
    fresh = traits.noise is not None and traits.noise.mode == "fresh"
    if traits.keeps_labels and kinds & {"relabels", "tells_nothing"}:
        yield "relabels or tells_nothing, and keeps_labels"
    if "noisy" in kinds and traits.noise is None:
        yield "noisy, and noise=None; it must tell the mode of its noise"
    if "withholds" in kinds and "watches" not in kinds and _tells_all(answers):
        yield "withholds, and tells the confidences of every row"
    if "watches" in kinds and not defense.monitors:
        yield "watches, and has no monitor"
    if "marks" in kinds and evidence_of(defense).marks is None:
        yield "marks, and its evidence tells of none"
    if "remembers" in kinds and traits.memory == "none":
        yield "remembers, and memory none"
    if traits.memory == "none" and not fresh and "other" not in kinds and not alike.all():
        yield "memory none, and answers a row otherwise when it is asked again"
    told = ~np.isnan(outputs[np.concatenate(again)]).any()
    if fresh and kinds == {"noisy"} and len(alike) and told and alike.all():
        yield "that its noise is fresh, and answers the same when it is asked again"
    if not traits.partial and not np.isnan(outputs[np.isnan(x).any(axis=1)]).all():
        yield "partial=False, and answers rows in which features are missing"
    yield from _grid_problems(defense, answers, victim, x)


def _grid_problems(defense: Defense, answers: Reply, victim: Victim, x: Array) -> Iterator[str]:
    """Yield where the grids are not those of the answers; as far as nothing else acts on them."""
    traits, outputs, true = defense.traits, answers.outputs, victim.predict(x).outputs
    assert outputs is not None
    if "quantises" in traits.kinds and traits.answer_grid is None and len(defense.layers) == 1:
        if "watches" not in traits.kinds:
            yield "quantises, and no answer_grid"
    elif traits.kinds == {"quantises"} and true is not None and len(victim.classes) > 1:
        assert traits.answer_grid is not None
        told = ~np.isnan(outputs).any(axis=1)
        low, high = bounds(grid_of(traits.answer_grid), outputs[told])
        if ((true[told] < low - CLOSE) | (true[told] > high + CLOSE)).any():
            yield f"{traits.answer_grid}, and its answers have other steps"
    if traits.kinds == {"moves_inputs"}:
        moved = victim.predict(victim.space.snap(x, traits.input_grid) if traits.input_grid else x)
        if gap := difference(_whole(answers), _whole(moved)):
            yield f"input_grid={traits.input_grid}, and answers other rows: {gap}"


def _tells_all(answers: Reply) -> bool:
    """Whether every row that was answered came with confidences."""
    refused, outputs = answers.refused, answers.outputs
    assert refused is not None
    assert outputs is not None
    return not refused.all() and not np.isnan(outputs[~refused]).any()


def _asked_again(x: Array) -> tuple[Rows, Rows]:
    """Find the rows that are equal to an earlier one, and the first such."""
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(row.tobytes(), place), place) for place, row in enumerate(x)]
    found = np.array([pair for pair in pairs if pair[0] != pair[1]], np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _alike(answers: Reply, first: Rows, again: Rows) -> Mask:
    """(m,) whether rows were answered as the first time."""
    outputs, refused = answers.outputs, answers.refused
    assert outputs is not None
    assert refused is not None
    same = (outputs[first] == outputs[again]) | np.isnan(outputs[first] + outputs[again])
    equal: Mask = (answers.labels[first] == answers.labels[again]) & same.all(axis=1)
    return equal | (refused[first] & refused[again])


def _whole(reply: Reply) -> Reply:
    """Leave confidences out where there are none, as `difference` wants it."""
    silent = reply.outputs is None or np.isnan(reply.outputs).all()
    return Reply(reply.labels, None if silent else reply.outputs)

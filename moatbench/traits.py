"""What is said of a defense before it is deployed: an attacker may know all of it, never a key."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import reduce
from typing import NamedTuple

STAGES = ("watch", "cost", "perturb", "minimise")  # the usual order of a stack
MEMORIES = ("none", "counts", "rows")  # the most last


class Kind(NamedTuple):
    """One thing that a defense may do: what, and at which of `STAGES` ("" at none of its own)."""

    meaning: str
    stage: str


KINDS = {
    "quantises": Kind("confidences are moved to the steps of a grid", "minimise"),
    "truncates": Kind("some of the confidences are left out, the others told exactly", "minimise"),
    "withholds": Kind("no confidences are told", "minimise"),
    "noisy": Kind("noise is added, whose mean over repeats or neighbours tells more", "perturb"),
    "perturbs": Kind("confidences are changed by a rule, and the label stays", "perturb"),
    "relabels": Kind("confidences are changed by a rule, and the label with them", "perturb"),
    "off_data": Kind("inputs unlike the customers' are answered otherwise", "perturb"),
    "marks": Kind("wrong answers are planted, to know a stolen model by", "perturb"),
    "moves_inputs": Kind("inputs are moved before the model sees them", "watch"),
    "watches": Kind("accounts that look like thieves are put in alarm", "watch"),
    "refuses": Kind("some rows get no answer", "watch"),
    "costs": Kind("answers come late, or at the price of work", "cost"),
    "remembers": Kind("what was asked before changes the answers", ""),
    "tells_nothing": Kind("answers say nothing of the model, and nothing is to know", "perturb"),
    "other": Kind("something that no other word says, or nothing is said of it", "perturb"),
}


class NoiseModel(NamedTuple):
    """What is random in a defense's answers.

    `mode` is `fresh` (the same row is answered anew each time) or `keyed` (a secret and the row
    decide); `distribution` is the law of what is added to each output (`gaussian`, `laplace`), or
    `other`; `sigma` its standard deviation, NaN where there is none to tell.
    """

    mode: str
    distribution: str = "other"
    sigma: float = float("nan")


class AnswerGrid(NamedTuple):
    """The steps told: `decimals`, `log_decimals` (of logarithms), significant `digits`, `bins`."""

    unit: str
    steps: int


def check_kinds(where: str, kinds: AbstractSet[str]) -> None:
    """Raise a ValueError unless all are `KINDS`."""
    if not isinstance(kinds, AbstractSet):
        raise ValueError(f'{where} must be a set of words, got {kinds!r}; write {{"perturbs"}}')
    for kind in sorted(set(kinds) - KINDS.keys()):
        near = get_close_matches(kind, KINDS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{where} must be among {', '.join(KINDS)}, got {kind!r}{hint}")


@dataclass(frozen=True)
class Traits:
    """What a defense says of itself; the contract checks the words.

    Args:
        kinds: what it does, some of `KINDS`. A defense with a kind that no attack of a run was made
            against is marked "naive only".
        keeps_labels: whether the answered label is always the victim's, and no class is told with
            more confidence.
        confidences: whether the answers still carry outputs, as the documentation would say.
        partial: whether inputs with missing features are still answered, as it would say.
        shared: whether one account's queries may change another's answers.
        noise: what is random in the answers; None where the row and earlier queries decide.
        answer_grid: what every confidence is moved to; None where there is no such grid.
        input_grid: step of the grid that numeric inputs are moved to, as a share of their range; 0
            is none.
        memory: what it must keep of earlier queries, one of `MEMORIES`.
    """

    kinds: AbstractSet[str] = frozenset({"other"})
    keeps_labels: bool = True
    confidences: bool = True
    partial: bool = True
    shared: bool = False
    noise: NoiseModel | None = None
    answer_grid: AnswerGrid | None = None
    input_grid: float = 0.0
    memory: str = "none"

    def __post_init__(self) -> None:
        check_kinds("traits: kinds", self.kinds)
        if self.memory not in MEMORIES:
            words = ", ".join(MEMORIES)
            raise ValueError(f"traits: memory must be one of {words}, got {self.memory!r}")

    def __or__(self, other: "Traits") -> "Traits":
        """Say what both do together, this one first."""
        noises = [noise for noise in (self.noise, other.noise) if noise is not None]
        mode = "fresh" if any(noise.mode == "fresh" for noise in noises) else "keyed"
        return Traits(
            kinds=self.kinds | other.kinds,
            keeps_labels=self.keeps_labels and other.keeps_labels,
            confidences=self.confidences and other.confidences,
            partial=self.partial and other.partial,
            shared=self.shared or other.shared,
            noise=NoiseModel(mode) if len(noises) == 2 else next(iter(noises), None),
            answer_grid=other.answer_grid or self.answer_grid,
            input_grid=max(self.input_grid, other.input_grid),
            memory=max(self.memory, other.memory, key=MEMORIES.index),
        )

    def for_some(self) -> "Traits":
        """Say what holds where only some accounts meet it: what is documented, all others get."""
        return replace(self, confidences=True, partial=True, answer_grid=None)

    @property
    def stages(self) -> frozenset[str]:
        """What it does, some of `STAGES`; nothing for no defense."""
        return frozenset(KINDS[kind].stage for kind in self.kinds) - {""}

    @property
    def stage(self) -> str:
        """Its place in a stack: the earliest of its stages, as a monitor comes before its response.

        To perturb what was already minimised makes no sense. No defense has no place.
        """
        return min(self.stages, key=STAGES.index, default="")

    @property
    def touches_confidences(self) -> bool:
        """Whether the confidences told are not the model's own."""
        return bool(self.stages & {"perturb", "minimise"})


NOTHING = Traits(kinds=frozenset())  # of no defense


def together(several: Iterable[Traits]) -> Traits:
    """Add the traits of several up, in their order."""
    return reduce(Traits.__or__, several, NOTHING)

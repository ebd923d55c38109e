"""What a reproduction is made of: sections of rows, and what the paper says of each."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from moatbench.victim import Victim

Unit = Literal["queries", "unknowns"]
Kind = Literal["budgets", "goal", "curves"]


@dataclass(frozen=True)
class Published:
    """What the paper's table says of one model.

    Args:
        queries: spent.
        test: 1 - R_test, in [0, 1]; None where the paper, or our notes of it, do not tell.
        uniform: 1 - R_unif, likewise.
        seconds: on the authors' machine, or through the service's network.
    """

    queries: int
    test: float | None = None
    uniform: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Claim:
    """A point of a figure that the paper's text gives in numbers.

    Args:
        line: the method.
        alpha: queries per unknown.
        fidelity: 1 - R, at least this much.
        text: the claim, with its place in the paper.
    """

    line: str
    alpha: float
    fidelity: float
    text: str


@dataclass(frozen=True)
class Rerun:
    """One model, stolen in one way; run once for each seed, as `moatbench` would run it.

    Args:
        section: the key of the table or figure that it belongs to.
        name: of the model, for people.
        line: of the method, for people; rows of one line are one line of a figure.
        victim: choice of conf/victim, and so for `data`, `attack` and `defense`.
        data: see `victim`.
        attack: see `victim`.
        defense: see `victim`.
        knobs: further overrides.
        budgets: checkpoints, as multiples of `unit`.
        unit: `unknowns` of the model, or plain `queries`.
        seeds: 0, 1, ...: as many runs, each with another split, victim and attack.
        quick_budgets: `budgets` of the quick run; None takes all, () leaves the row out.
        quick_seeds: `seeds` of the quick run.
        paper: what the paper's table has of it.
        leaves: of the paper's tree.
        differs: where our data or model differ from the paper's, a note each.
    """

    section: str
    name: str
    line: str
    victim: str
    data: str
    attack: str
    budgets: tuple[float, ...]
    unit: Unit = "unknowns"
    defense: str = "none"
    knobs: tuple[str, ...] = ()
    seeds: int = 3
    quick_budgets: tuple[float, ...] | None = None
    quick_seeds: int = 1
    paper: tuple[Published, ...] = ()
    leaves: int | None = None
    differs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name the row in files."""
        return f"{self.section} | {self.name} | {self.line}"

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the command line of `moatbench` would be given, but for the checkpoints."""
        choices = (f"{g}={getattr(self, g)}" for g in ("victim", "data", "attack", "defense"))
        return (*choices, *self.knobs)

    @property
    def settings(self) -> str:
        """Hash what decides the row's numbers, so that a changed row is run again."""
        text = repr((self.overrides, self.budgets, self.unit))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def quickly(self) -> "Rerun | None":
        """Return the row of the quick run, if it has one."""
        budgets = self.budgets if self.quick_budgets is None else self.quick_budgets
        seeds = min(self.seeds, self.quick_seeds)
        return replace(self, budgets=budgets, seeds=seeds) if budgets else None

    def checkpoints(self, victim: Victim) -> tuple[int, ...]:
        """Return the cumulative query counts; at least one query, and none twice."""
        scale = unknowns(victim) if self.unit == "unknowns" else 1
        return tuple(sorted({max(1, round(budget * scale)) for budget in self.budgets}))


@dataclass(frozen=True)
class Section:
    """A table or a figure.

    Args:
        key: for `--only`.
        title: for people.
        kind: `budgets` shows what each of the paper's budgets buys; `goal` how many queries a level
            takes; `curves` fidelity against budget, with a picture.
        about: what the paper shows there, and how ours is laid out.
        rows: in the order in which they are shown.
        goal: 1 - R_test and 1 - R_unif that count as stolen.
        claims: points of a figure that are known.
        absent: what of the paper's table is not rerun, and why.
    """

    key: str
    title: str
    kind: Kind
    about: str
    rows: tuple[Rerun, ...]
    goal: tuple[float, float] = (1.0, 1.0)
    claims: tuple[Claim, ...] = ()
    absent: str = ""


def unknowns(victim: Victim) -> int:
    """Count a model's parameters as the paper does (sec. 4.1).

    d + 1 of a binary linear model; c (d + 1) of c linear scores; h (d + 1) + c (h + 1) of a network
    with h hidden units. A kernel machine's budgets, too, are multiples of d + 1 (sec. 6.1).
    """
    inputs, classes = victim.space.d + 1, len(victim.classes)
    if victim.family == "mlp":
        hidden = int(victim.architecture["hidden"])
        return hidden * inputs + classes * (hidden + 1)
    return classes * inputs if victim.family in ("softmax", "one_vs_rest") else inputs

"""What a verdict rests on: one defense before one victim, under all attacks that ran."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

from moatbench.record.columns import POOL, WORST_CASE
from moatbench.record.curve import HEADLINE, LEVELS
from moatbench.record.flag import BOUND, INVALID, ORACLE, UNISOLATED, Flag, gravest
from moatbench.record.summary import FINISHED, STOPPED, Summary
from moatbench.verdict.names import shown

UNDEFENDED = "none"
CONTROLS = (UNDEFENDED, "random_labels")  # nobody claims that they hold
PRICES = ("label_agreement", "top_agreement", "l1_mean", "refused")
WAITED = "seconds_waited"
TOO_HIGH = frozenset({ORACLE, UNISOLATED})  # such marks say that no thief need get as much
USUAL = {"scale": "probability"}  # knobs that tell no strength


@dataclass(frozen=True)
class Case:
    """One defense before one victim.

    Args:
        defense: its name in code.
        model: the victim on its data, as readers are told.
        budget: queries that an attack might ask.
        stolen: test rows on which the worst attack's copy gives the model's label, a share; the
            mean over seeds.
        low: end of its 95 % interval; NaN with one seed.
        high: the other end.
        seeds: that it is a mean over.
        attack: that it is of.
        attacks: how many ran.
        reached: of some LEVELS, the first checkpoint at which it was reached.
        price: US dollars a query that is answered.
        floor: what an attacker without the API has, a share; NaN where no record tells.
        floor_name: which attacker that is.
        paid: what honest customers paid, by PRICES and WAITED; what was not measured is left out.
        regression: whether the model answers values, not classes.
        flags: what the number says against itself.
        beside: the defense that it is compared with; '' for none.
        beside_stolen: what is stolen behind that one, a share.
        claimed: whether so much less is stolen that a claim is made: the row's `claims`.
    """

    defense: str
    model: str
    budget: int
    stolen: float
    low: float = nan
    high: float = nan
    seeds: int = 1
    attack: str = ""
    attacks: int = 1
    reached: Mapping[int, int] = field(default_factory=dict)
    price: float = 0.0
    floor: float = nan
    floor_name: str = POOL
    paid: Mapping[str, float] = field(default_factory=dict)
    regression: bool = False
    flags: Sequence[Flag] = ()
    beside: str = ""
    beside_stolen: float = nan
    claimed: bool = False

    @property
    def is_control(self) -> bool:
        """Whether nobody would deploy it: it is there to compare with."""
        return self.defense.partition(" (")[0] in CONTROLS

    @property
    def gain(self) -> float:
        """What is stolen above the floor, of what that leaves; NaN where it leaves nothing."""
        if isnan(self.floor):
            return self.stolen
        return (self.stolen - self.floor) / (1 - self.floor) if self.floor < 1 else nan

    @property
    def invalid(self) -> list[Flag]:
        """Why the number is not what it is called; [] where nothing says so."""
        return [flag for flag in self.flags if flag.grade == INVALID]

    @property
    def supported(self) -> bool:
        """Whether it may be said that less is stolen: claimed, and no flag of grade A or B."""
        return self.claimed and gravest(self.flags) not in (INVALID, BOUND)

    @property
    def doubts(self) -> list[str]:
        """Marks that a reader must know where little was stolen, the gravest first."""
        alone = ("one ", "keys ", "seeds ")
        kept = [f for f in self.flags if f.grade == BOUND or f.words.startswith(alone)]
        return list(dict.fromkeys(f.words for f in sorted(kept)))

    @property
    def side(self) -> str:
        """Which side of the truth the number is on: 'at most ', 'at least ' or ''."""
        bounds = {flag.mark in TOO_HIGH for flag in self.flags if flag.grade == BOUND}
        if len(bounds) != 1:
            return ""
        return "at most " if bounds == {True} else "at least "


def of_run(summary: Summary) -> Case | None:
    """Return the case that a run makes; None for one that failed, or has no curve."""
    final = summary.finals
    stolen = final.get(f"final_{HEADLINE}")
    if summary.status not in (FINISHED, STOPPED) or stolen is None:
        return None
    return Case(
        defense=named(summary),
        model=f"{shown(summary.victim)} on {shown(summary.data)}",
        budget=summary.reached or summary.checkpoints[-1],
        stolen=stolen,
        attack=summary.winner or summary.attack,
        attacks=len(summary.summaries.keys() - {WORST_CASE}),
        reached={lv: int(q) for lv in LEVELS if (q := final.get(f"queries_to_{lv}")) is not None},
        price=float(summary.knobs.get("price", 0.0)),
        floor=floor_of([summary]),
        floor_name=summary.floor or POOL,
        paid=_paid(final),
        regression=summary.victim_accuracy is None,
        flags=sorted(summary.flags),
    )


def named(summary: Summary) -> str:
    """Name a run's defense, with the strength of a single one: `rounding (decimals=2)`."""
    prefix = f"defense.{summary.defense}."
    own: dict[str, Any] = {
        key.removeprefix(prefix): value
        for key, value in summary.knobs.items()
        if key.startswith(prefix) and isinstance(value, int | float | str)
    }
    own = {key: value for key, value in own.items() if not key.startswith("_") and "." not in key}
    own = {key: value for key, value in own.items() if USUAL.get(key) != value}
    told = ", ".join(f"{key}={value}" for key, value in own.items())
    return f"{summary.defense} ({told})" if 0 < len(own) <= 2 else summary.defense


def floor_of(runs: Iterable[Summary]) -> float:
    """Return what an attacker without the API has on test data, the mean over runs."""
    values = [run.floor_scores.get(HEADLINE) for run in runs]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else nan


def _paid(final: Mapping[str, float | None]) -> dict[str, float]:
    names = {**{p: f"final_honest_{p}" for p in PRICES}, WAITED: f"honest_{WAITED}"}
    values = {short: final.get(name) for short, name in names.items()}
    return {short: value for short, value in values.items() if value is not None}

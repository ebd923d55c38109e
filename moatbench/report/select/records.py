"""What a report is made of: curves of runs, what does not apply, and what was left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moatbench.record.curve import Row
from moatbench.record.summary import Plan
from moatbench.tracking.read import Logged
from moatbench.verdict.names import shown

ROLES = ("data", "victim", "defense", "attack")


@dataclass(frozen=True)
class Setting:
    """What is attacked: a victim on its data, by their names in code; as text, for readers."""

    victim: str
    data: str

    def __str__(self) -> str:
        return f"{shown(self.victim)} on {shown(self.data)}"

    @property
    def code(self) -> str:
        """Name it as commands and filters do."""
        return f"{self.victim} on {self.data}"


def base_name(name: str) -> str:
    """Return a name without the knobs that tell it from others of the same name."""
    return name.split(" (")[0]


@dataclass(frozen=True)
class Curve:
    """One attack's curve in one run.

    Args:
        setting: victim and data.
        defense: its name, with the knobs that tell it from others of the same name.
        attack: likewise.
        seed: of the run; "victim seed:seed" where the two differ.
        rows: the checkpoints.
        run: where it comes from.
    """

    setting: Setting
    defense: str
    attack: str
    seed: str
    rows: list[Row]
    run: Logged

    @property
    def victim(self) -> str:
        """The seed of its victim: runs that share it attack the same model."""
        return self.seed.partition(":")[0]

    @property
    def last(self) -> Row:
        """The row at the budget."""
        return self.rows[-1]


@dataclass(frozen=True)
class Skip:
    """An attack that does not apply, and why."""

    setting: Setting
    defense: str
    attack: str
    seed: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """What a report is made of.

    Args:
        curves: a curve for each run and attack, the worst case of suites left out.
        skips: attacks that do not apply.
        runs: the finished runs behind the curves.
        left_out: runs that did not finish: never averaged.
        repeated: runs that gave a curve which another had given: counted once.
        confirmations: curves of reruns on fresh seeds, which choose no worst case.
    """

    curves: list[Curve]
    skips: list[Skip]
    runs: list[Logged]
    left_out: list[Logged]
    repeated: list[Logged]
    confirmations: list[Curve] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        """How much was measured, the same of all runs."""
        return self.runs[0].summary.plan

    @property
    def confirming(self) -> list[Logged]:
        """The runs behind the confirmations."""
        return list({c.run.id: c.run for c in self.confirmations}.values())

    @property
    def settings(self) -> list[Setting]:
        """Victims on data, in order of appearance."""
        return list(dict.fromkeys(c.setting for c in self.curves))


def part_of(run: Logged, role: str) -> str:
    """Name a run's data, victim, defense or attack."""
    return str(getattr(run.summary, role))


def varied(knobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the knobs that are not the same in all."""
    keys = dict.fromkeys(key for each in knobs for key in each)
    return [key for key in keys if len({str(each.get(key)) for each in knobs}) > 1]

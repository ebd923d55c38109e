"""Which defense to deploy: what customers pay for each, and what a thief must."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite, isnan

from moatbench.record.curve import LEVELS
from moatbench.record.flag import INVALID
from moatbench.report.measure.leaderboard import LABEL_ONLY, Standing, standings
from moatbench.report.measure.multipliers import Reach, reach, typical
from moatbench.report.measure.row_flags import holds
from moatbench.report.measure.worst import UNDEFENDED, Field
from moatbench.verdict.choice import BEARABLE

GOAL = 95  # per cent of the answers: the level that defenses are ranked by
KEPT = 1 - BEARABLE  # share of their labels that customers must keep, of what can be deployed
REFUSED = BEARABLE  # share of their queries that may be refused


@dataclass(frozen=True)
class Option:
    """A defense that could be deployed.

    Args:
        standing: its place on the leaderboard.
        reaches: level in per cent to the queries that the worst attack needs, medians over seeds.
        stolen: share of the answers that a thief has at the budget, in the mean.
    """

    standing: Standing
    reaches: Mapping[int, Reach]
    stolen: float

    @property
    def name(self) -> str:
        """The defense, with the knobs that tell it from others."""
        return self.standing.defense

    @property
    def kept(self) -> float:
        """Share of the labels that customers keep, of the queries that were answered."""
        return self.standing.honest["honest_label_agreement"].mean

    @property
    def refused(self) -> float:
        """Share of the customers' queries that are refused."""
        return self.standing.honest["honest_refused"].mean

    @property
    def moved(self) -> float:
        """Mean L1 distance of the customers' answers from the model's; a refusal counts as 2."""
        return self.standing.cost.mean

    @property
    def invalid(self) -> bool:
        """Whether a flag says that its number is not what it is called."""
        return any(flag.grade == INVALID for flag in self.standing.flags)

    @property
    def affordable(self) -> bool:
        """Whether customers keep nearly all labels, and are hardly ever refused."""
        return self.kept >= KEPT and self.refused <= REFUSED

    @property
    def rank(self) -> tuple[float, ...]:
        """Sorts the best first: queries to 95, 99 and 90 %, what is stolen at the budget, cost.

        One of which nothing is known comes last.
        """
        far = [-self.reaches[level].at for level in (GOAL, *LEVELS)]
        return (float(isnan(self.stolen)), *far, round(self.stolen, 3), self.moved)


@dataclass(frozen=True)
class Advice:
    """What the measurements of one setting say to the owner of the model.

    Args:
        field: victim and data, with all curves.
        options: the defenses, the best first; the bare API is among them.
        price: US dollars an answered query.
    """

    field: Field
    options: Sequence[Option]
    price: float

    @property
    def budget(self) -> int:
        """Queries that were spent."""
        return self.field.checkpoints[-1]

    @cached_property
    def bare(self) -> Option:
        """The API without a defense."""
        return next(option for option in self.options if option.name == UNDEFENDED)

    @cached_property
    def best(self) -> Option | None:
        """The one to deploy; None where none that customers can bear makes a difference."""
        return next((o for o in self.options if o.affordable and self.helps(o)), None)

    @property
    def cheaper(self) -> list[Option]:
        """Those that help too, each for less than all that help more; the best first."""
        found: list[Option] = []
        least = self.best.moved if self.best else 0.0
        for option in self.options:
            if option.affordable and self.helps(option) and option.moved < least:
                found.append(option)
                least = option.moved
        return found

    @property
    def useless(self) -> list[Option]:
        """Those that a thief does not notice, or whose numbers are invalid."""
        return [o for o in self.options if o is not self.bare and not self.helps(o)]

    @property
    def dear(self) -> list[Option]:
        """Those that make a difference, at a price that customers cannot bear."""
        return [o for o in self.options if self.helps(o) and not o.affordable]

    def helps(self, option: Option) -> bool:
        """Whether a thief needs more queries for some level, or has less at the budget."""
        if option is self.bare or option.invalid or isnan(option.stolen):
            return False
        later = any(option.reaches[level].at > self.bare.reaches[level].at for level in LEVELS)
        return later or holds(option.standing.test.value, self.bare.standing.test.value)

    def holds(self, option: Option) -> bool:
        """Whether 95 % is out of reach within the budget, and is within it on the bare API."""
        return not isfinite(option.reaches[GOAL].at) and isfinite(self.bare.reaches[GOAL].at)


def advice(field: Field) -> Advice:
    """Weigh the defenses of a setting, at the price of its runs.

    Raises:
        ValueError: the bare API was not measured.
    """
    rows = {row.defense: row for row in standings(field)}
    if UNDEFENDED not in rows:
        raise ValueError(
            f"advice must compare with the bare API, got {', '.join(rows) or 'no run'}; add "
            "defense=none to the sweep"
        )
    options = [
        Option(row, _reaches(field, row.defense), row.test.value.mean) for row in rows.values()
    ]
    floor = next((o for o in options if o.name.split(" (")[0] == LABEL_ONLY), None)
    capped = [_capped(option, floor) for option in options]
    (group, *_) = field.curves.values()
    price = float(group[0].run.summary.knobs.get("price") or 0.0)
    return Advice(field, sorted(capped, key=lambda option: option.rank), price)


def _reaches(field: Field, defense: str) -> dict[int, Reach]:
    """Bracket, for each level, the queries of the attack that gets there first."""
    curves = field.worst_of_seeds[defense].values()
    found = {}
    for level in LEVELS:
        found[level] = typical([reach(curve, level / 100, "fidelity_test") for curve in curves])
    return found


def _capped(option: Option, floor: Option | None) -> Option:
    """Labels can always be used alone: who keeps them all protects no more than label-only."""
    if floor is None or option.kept < 1.0 or option.refused > 0.0:
        return option
    least = {
        level: min(found, floor.reaches[level], key=lambda r: (r.at, r.above))
        for level, found in option.reaches.items()
    }
    return Option(option.standing, least, max(option.stolen, floor.stolen))


def dollars(queries: float, price: float) -> float:
    """What so many answered queries cost, in US dollars; infinite where they are."""
    return inf if not isfinite(queries) else queries * price

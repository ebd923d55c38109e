"""What groups of customers pay: by class, and in and out of a subgroup."""

from collections.abc import Mapping, Sequence

from moatbench.record.columns import OF_A_GROUP, Column, column
from moatbench.record.harm import Harm, worst_of
from moatbench.report.measure.statistics import t_interval
from moatbench.report.measure.worst import Field
from moatbench.report.write.numerals import percent, significant
from moatbench.report.write.table import Group, Head, Table

MEASURES = [column(f"honest_{name}") for name in ("refused", *OF_A_GROUP)]


def groups(fields: Sequence[Field]) -> Table:
    """What customers of each class, and in and out of a subgroup, pay."""
    rows = []
    for field in fields:
        for defense in field.defenses:
            seeds = _by_seed(field, defense)
            for group in dict.fromkeys(name for seed in seeds for name in seed):
                theirs = [seed[group] for seed in seeds if group in seed]
                cells = [_mean(shown, theirs) for shown in MEASURES]
                rows.append([str(field.setting), defense, group, *cells])
    return Table(
        "groups",
        "What groups of customers pay",
        "Honest customers by their true class, and in and out of a named subgroup. Means over "
        "seeds; of several attacks, the one under which the measure is worst.",
        [
            *(
                Head(h, number=False, named=h == "defense")
                for h in ("setting", "defense", "customers")
            ),
            *(Head(c.heading, f"{'%, ' if c.unit == 'share' else ''}{c.says}") for c in MEASURES),
        ],
        [Group("", rows)],
        folded=True,
    )


def _by_seed(field: Field, defense: str) -> list[dict[str, dict[str, float]]]:
    """Return the worst over the attacks, for each seed."""
    found: dict[str, list[Harm]] = {}
    for curve in (c for group in field.against(defense).values() for c in group):
        found.setdefault(curve.seed, []).extend(curve.run.summary.harm.values())
    return [worst_of(harms) for harms in found.values()]


def _mean(shown: Column, seeds: Sequence[Mapping[str, float]]) -> str:
    name = shown.measure
    value = t_interval([seed[name] for seed in seeds if name in seed]).mean
    return percent(value) if shown.unit == "share" else significant(value)

"""What every table of defenses must hold, for a number alone says nothing."""

from collections.abc import Sequence

from moatbench.report.measure.leaderboard import LABEL_ONLY, Standing
from moatbench.report.measure.worst import UNDEFENDED, Field
from moatbench.report.select.records import base_name
from moatbench.verdict.names import shown

BASELINES = {
    UNDEFENDED: "the undefended API",
    LABEL_ONLY: "labels alone, which every label-preserving defense tells too",
    "random_labels": "an API that tells nothing of its model",
}


def is_baseline(row: Standing) -> bool:
    """Whether a row is there for comparison, whatever its knobs."""
    return base_name(row.defense) in BASELINES


def baselines_first(rows: Sequence[Standing]) -> list[Standing]:
    """Put the baselines before the defenses, and leave these in their order."""
    order = list(BASELINES)
    named = sorted(
        (r for r in rows if is_baseline(r)), key=lambda r: order.index(base_name(r.defense))
    )
    return [*named, *(row for row in rows if not is_baseline(row))]


def missing(field: Field) -> list[str]:
    """Name the baselines that were not measured in a setting, nor found not to apply."""
    there = {base_name(defense) for defense in field.defenses}
    return [name for name in BASELINES if name not in there]


def told_missing(fields: Sequence[Field]) -> str:
    """Say which baselines a table lacks, and where; '' for none."""
    lacking = {str(field.setting): missing(field) for field in fields if missing(field)}
    if not lacking:
        return ""
    where = [
        ", ".join(map(shown, n)) + (f" ({s})" if len(fields) > 1 else "")
        for s, n in lacking.items()
    ]
    return f"Baselines are missing: {'; '.join(where)}."

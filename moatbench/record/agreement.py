"""Whether the rows of a curve are those that its summary tells of."""

from collections.abc import Sequence
from math import isclose

from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import HEADLINE, Row, by_attack
from moatbench.record.summary import FINISHED, NOT_APPLICABLE, RecordUnreadable, Summary


def require_whole(summary: Summary, rows: Sequence[Row]) -> None:
    """Check rows against checkpoints x attacks.

    Raises:
        RecordUnreadable: says which curve lacks what.
    """
    curves = by_attack(rows)
    if summary.status == FINISHED and not summary.summaries:
        raise RecordUnreadable("summary.json tells of a finished run, and of no attack")
    if summary.status == NOT_APPLICABLE and curves:
        raise RecordUnreadable("curve.csv has rows, and summary.json says that none apply")
    if strangers := sorted(curves.keys() - summary.summaries.keys()):
        raise RecordUnreadable(f"curve.csv has rows of {strangers[0]}, summary.json has none")
    for name, told in summary.summaries.items():
        _require_curve(summary, name, curves.get(name, []), told.get(f"final_{HEADLINE}"))


def _require_curve(summary: Summary, name: str, curve: Sequence[Row], final: float | None) -> None:
    """Check one attack's rows; one that did not end may have few, but none after its summary."""
    reached, asked = [row["queries"] for row in curve], list(summary.checkpoints)
    ended = {**summary.failed, **summary.stopped}
    early = name in ended or "" in ended or name == WORST_CASE
    if summary.status == FINISHED:
        early = False
    if reached != asked and (not early or not reached):
        raise RecordUnreadable(
            f"curve.csv is not whole: {name} has {len(reached)} of {len(asked)} rows "
            f"(checkpoints {_few(asked)}, rows at {_few(reached)})"
        )
    last = curve[-1].get(HEADLINE)
    if not isinstance(last, int | float):
        raise RecordUnreadable(f"curve.csv is not whole: {name} has no {HEADLINE} at its end")
    if final is not None and not isclose(last, final, abs_tol=1e-9):
        raise RecordUnreadable(
            f"curve.csv ends with {last:.4g} for {name}, and summary.json tells {final:.4g}: they "
            "are of two runs"
        )


def _few(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "") or "none"

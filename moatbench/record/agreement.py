"""Whether the rows of a curve are those that its summary tells of."""

from collections.abc import Mapping, Sequence
from math import isclose
from pathlib import Path

from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import HEADLINE, Row, by_attack, digest, read
from moatbench.record.summary import FINISHED, NOT_APPLICABLE, RecordUnreadable, Summary

FINAL = "final_"


def rows_of(summary: Summary, curve: Path) -> list[Row]:
    """Read the rows of a run, where its curve.csv is the one that it wrote; none where it has none.

    Raises:
        RecordUnreadable: it is cut, another run's, or edited.
        ValueError: a cell holds something else than its column does.
    """
    rows = read(curve) if curve.exists() else []
    require_whole(summary, rows)
    if summary.curve is not None and digest(curve) != summary.curve:
        raise RecordUnreadable(
            "curve.csv has changed since the run wrote it: its sha256 is not the one of "
            "summary.json; a run's files are not meant to be edited"
        )
    return rows


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
        _require_curve(summary, name, curves.get(name, []), told)


def _require_curve(
    summary: Summary, name: str, curve: Sequence[Row], told: Mapping[str, float | None]
) -> None:
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
    for key, value in told.items():
        last = curve[-1].get(key.removeprefix(FINAL)) if key.startswith(FINAL) else None
        if value is None or not isinstance(last, int | float) or last != last:
            continue
        if not isclose(last, value, rel_tol=1e-9, abs_tol=1e-9):
            raise RecordUnreadable(
                f"curve.csv ends with {key.removeprefix(FINAL)} {last:.4g} for {name}, and "
                f"summary.json tells {value:.4g}: they are of two runs"
            )


def _few(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "") or "none"

"""Whole files, and rows that are those of their summary."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import rows
from summaries import summary

from moatbench.record.agreement import require_whole, rows_of
from moatbench.record.curve import CurveFile, digest, read
from moatbench.record.summary import RecordUnreadable, Summary
from moatbench.record.whole import write_text, write_whole

WHOLE: dict[str, Any] = {"summaries": {"solve": {"final_fidelity_test": 0.9}}}


def solved() -> list[dict[str, Any]]:
    return [{**row, "attack": "solve"} for row in rows()]


def test_a_whole_record_passes() -> None:
    require_whole(summary(**WHOLE), solved())
    require_whole(summary(status="not_applicable"), [])


@pytest.mark.parametrize(
    ("made", "kept", "said"),
    [
        (WHOLE, slice(0, 2), "solve has 2 of 3 rows"),
        (WHOLE, slice(0, 0), "solve has 0 of 3 rows"),
        ({}, slice(0, 3), "of no attack"),
        ({"summaries": {"solve": {"final_fidelity_test": 0.5}}}, slice(0, 3), "of two runs"),
        ({"summaries": {"other": {}}}, slice(0, 3), "rows of solve, summary.json has none"),
        ({"status": "not_applicable"}, slice(0, 3), "says that none apply"),
    ],
)
def test_rows_that_are_not_the_summarys_are_refused(
    made: dict[str, Any], kept: slice, said: str
) -> None:
    with pytest.raises(RecordUnreadable, match=said):
        require_whole(summary(**made), solved()[kept])


def test_a_last_value_that_is_not_the_curves_is_refused() -> None:
    told = {"solve": {"final_fidelity_test": 0.9, "final_tv_test": 0.123}}
    with pytest.raises(RecordUnreadable, match=r"ends with tv_test .* tells 0\.123"):
        require_whole(summary(summaries=told), solved())


def test_a_curve_that_was_edited_in_the_middle_is_refused(tmp_path: Path) -> None:
    curve, told = tmp_path / "curve.csv", summary(**WHOLE)
    file = CurveFile(curve)
    for row in solved():
        file.add(row)
    whole = replace(told, curve=digest(curve))
    assert len(rows_of(whole, curve)) == len(solved())
    first = str(solved()[0]["fidelity_test"])
    curve.write_text(curve.read_text().replace(first, "0.999", 1))
    assert rows_of(told, curve)  # an earlier record does not know its curve
    with pytest.raises(RecordUnreadable, match="has changed since the run wrote it"):
        rows_of(whole, curve)


def test_a_failed_run_may_have_ended_early() -> None:
    early = {"status": "failed", "failed": {"solve": "x"}, "summaries": {"solve": {}}}
    require_whole(summary(**early), solved()[:2])


@pytest.mark.parametrize("left", [0, 1, 300])
def test_a_summary_that_was_cut_is_unreadable(tmp_path: Path, left: int) -> None:
    summary().write(tmp_path)
    text = (tmp_path / "summary.json").read_text()
    (tmp_path / "summary.json").write_text(text[:left])
    with pytest.raises(RecordUnreadable, match="damaged or was cut"):
        Summary.read(tmp_path)


def test_a_row_that_was_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("attack,queries,fidelity_test\nsolve,5,0.5\nsolve,10")
    with pytest.raises(ValueError, match="not whole"):
        read(tmp_path / "curve.csv")


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    def full(draft: Path) -> None:
        draft.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    write_text(tmp_path / "a.json", "old")
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a.json", full)
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("a.json", "old")]

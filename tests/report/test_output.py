"""The folder of a report: written whole, or not at all."""

from pathlib import Path

import pytest

from moatbench.report.write.output import OutputRefused, require_free, written


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(OutputRefused, match=r"thesis\.tex"):
        require_free(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_earlier_report_is_replaced_and_what_it_had_more_is_gone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for names in (("a", "b"), ("a",)):
        require_free(out)
        with written(out) as folder:
            for name in names:
                (folder / name).write_text(str(names))
    assert {p.name for p in out.iterdir()} == {"a", "report.json"}
    assert (out / "a").read_text() == "('a',)"
    assert {p.name for p in tmp_path.iterdir()} == {"out"}


def test_a_report_that_somebody_changed_is_left_alone(tmp_path: Path) -> None:
    with written(tmp_path / "out") as folder:
        (folder / "table.tex").write_text("ours")
    (tmp_path / "out" / "table.tex").write_text("tuned by hand")
    with pytest.raises(OutputRefused, match=r"changed since \(table\.tex\)"):
        require_free(tmp_path / "out")


def test_a_file_of_the_users_beside_a_report_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with written(out) as folder:
        (folder / "a").write_text("ours")
    (out / "b").write_text("theirs")
    with pytest.raises(OutputRefused, match="b is not of our earlier report"), written(out) as new:
        (new / "b").write_text("ours")
    assert (out / "b").read_text() == "theirs"


def test_a_report_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def half() -> None:
        with written(tmp_path / "out") as folder:
            (folder / "a").write_text("half")
            raise RuntimeError("full disk")

    with pytest.raises(RuntimeError, match="full disk"):
        half()
    assert not list(tmp_path.iterdir())

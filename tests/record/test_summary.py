"""summary.json: written, read back, brought up to date, refused."""

import json
import re
from pathlib import Path

import pytest
from summaries import summary

from moatbench.record.reference import renewed
from moatbench.record.summary import FIRST_PLAN, VERSION, WATCHES, RecordUnreadable, Summary

ROOT = Path(__file__).parents[2]
STABLE = ("seed", "flags", "marks", "command", "status")  # other people's scripts read them


def test_a_summary_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = summary(summaries={"a": {"area": 0.5}}, flags=["one"], marks=["two"], fetched="abc")
    made.write(tmp_path)
    assert Summary.read(tmp_path).to_json() == made.to_json()
    tree = json.loads((tmp_path / "summary.json").read_text())
    assert tree["version"] == VERSION
    assert {name: tree[name] for name in STABLE} == {name: getattr(made, name) for name in STABLE}


def test_what_was_not_measured_is_null(tmp_path: Path) -> None:
    made = summary(summaries={"a": {"area": float("nan")}})
    made.write(tmp_path)
    assert Summary.read(tmp_path).summaries == {"a": {"area": None}}
    assert "NaN" not in (tmp_path / "summary.json").read_text()
    assert "fetched" not in made.to_json()


def test_a_summary_of_the_version_before_is_brought_up_to_date() -> None:
    old = summary(seed=4).to_json()
    del old["version"], old["plan"]
    found = Summary.from_json(old)
    assert (found.seed, found.plan, found.version) == (4, FIRST_PLAN, VERSION)


def test_a_summary_that_lacks_something_says_what() -> None:
    old = summary().to_json()
    del old["knobs"], old["aware"]
    with pytest.raises(RecordUnreadable, match=r"^records lack knobs, aware$"):
        Summary.from_json(old)


def test_a_summary_of_the_version_before_names_layers_where_later_ones_name_kinds() -> None:
    old = summary(defense="none+prada+rounding", knobs={"defense.prada.monitor.delta": 0.9})
    tree = old.to_json() | {"aware": {"solve": ["rounding"], "sybil": ["prada"]}}
    del tree["version"], tree["plan"], tree["kinds"]
    found = Summary.from_json(tree)
    assert found.kinds == {"prada": [WATCHES], "rounding": ["rounding"]}
    assert found.aware == {"solve": ["rounding"], "sybil": [WATCHES]}


def test_a_summary_of_a_later_version_is_refused() -> None:
    with pytest.raises(RecordUnreadable, match=f"of version 99, beyond this one's {VERSION}"):
        Summary.from_json(summary().to_json() | {"version": 99})


def test_keys_of_strangers_are_left_out() -> None:
    assert Summary.from_json(summary().to_json() | {"theirs": 1}) == summary(
        **{k: v for k, v in summary().to_json().items() if k != "plan"}
    )


def test_the_page_of_the_record_tells_what_the_code_does() -> None:
    text = (ROOT / "docs" / "record.md").read_text()
    assert renewed(text) == text, "run: python -m moatbench.record.reference docs/record.md"


def test_the_page_names_what_others_rely_on() -> None:
    text = (ROOT / "docs" / "record.md").read_text()
    names = [*STABLE, "attack", "queries", "fidelity_test", "accuracy", "classes", "columns"]
    names += ["features", "tracking.uri", "hydra.run.dir", "victim.path", "victim.trusted"]
    for name in names:
        assert re.search(rf"`[^`]*\b{re.escape(name)}\b[^`]*`", text), name

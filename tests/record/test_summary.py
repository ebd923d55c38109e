"""summary.json: written, read back, brought up to date, refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from shop import defense_of
from summaries import summary

from moatbench.record.flag import Flag
from moatbench.record.older.first_version import KINDS, PLAN
from moatbench.record.reference import renewed
from moatbench.record.summary import VERSION, WATCHES, Plan, RecordUnreadable, Summary

ROOT = Path(__file__).parents[2]
STABLE = ("seed", "flags", "marks", "command", "status")  # other people's scripts read them


def test_a_summary_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = summary(
        summaries={"a": {"area": 0.5}}, flags=[Flag("B", "one", "few", "a")], fetched="abc"
    )
    made.write(tmp_path)
    assert Summary.read(tmp_path).to_json() == made.to_json()
    tree = json.loads((tmp_path / "summary.json").read_text())
    assert tree["version"] == VERSION
    assert {name: tree[name] for name in STABLE} == {name: made.to_json()[name] for name in STABLE}


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
    assert (found.seed, found.plan, found.version) == (4, Plan(**PLAN), VERSION)


def test_a_summary_that_lacks_something_says_what() -> None:
    old = summary().to_json()
    del old["knobs"], old["aware"]
    with pytest.raises(RecordUnreadable, match=r"^records lack knobs, aware$"):
        Summary.from_json(old)


def test_a_summary_of_the_version_before_tells_the_kinds_of_its_layers() -> None:
    knobs = {"defense.mine.monitor.delta": 0.9}
    tree = summary(defense="none+mine+bdpl+theirs+rounding", knobs=knobs).to_json()
    tree |= {"aware": {"solve": ["rounding", "bdpl"], "sybil": ["mine"]}}
    del tree["version"], tree["plan"], tree["kinds"]
    found = Summary.from_json(tree)
    assert found.kinds == {
        "mine": [WATCHES],
        "bdpl": ["withholds", "noisy"],
        "theirs": ["other"],
        "rounding": ["quantises"],
    }
    assert found.aware == {"solve": ["noisy", "quantises", "withholds"], "sybil": [WATCHES]}


def test_the_kinds_of_the_version_before_are_those_of_today() -> None:
    for kind, names in KINDS.items():
        for name in names.split():
            assert kind in defense_of(name).traits.kinds


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"version": "3"}, "of version '3', not one of 1 to 3"),
        ({"version": None}, "of version None, not one of 1 to 3"),
        ({"plan": None}, "a plan that is none"),
        ({"plan": {"accounts": 5}}, "records lack uniform_points, same_value"),
    ],
)
def test_a_damaged_summary_is_one_line(damage: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordUnreadable, match=said):
        Summary.from_json(summary().to_json() | damage)
    with pytest.raises(RecordUnreadable, match="of version None"):
        Summary.from_json([])  # type: ignore[arg-type]


def test_a_plan_may_tell_more_than_this_version_knows() -> None:
    tree = summary().to_json()
    tree["plan"] |= {"more": 1}
    assert Summary.from_json(tree).plan == summary().plan


def test_a_summary_of_a_later_version_is_refused() -> None:
    with pytest.raises(RecordUnreadable, match=f"of version 99, not one of 1 to {VERSION}"):
        Summary.from_json(summary().to_json() | {"version": 99})


def test_keys_of_strangers_are_left_out() -> None:
    assert Summary.from_json(summary().to_json() | {"theirs": 1}) == summary(
        **{k: v for k, v in summary().to_json().items() if k not in ("plan", "marks")}
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


# ---- flags of records from before there were grades --------------------------------------

OLD = {  # as version 2 wrote them: what they say is graded as a run of today grades it
    "b: not converged at 10, 50 queries": ("B", "not converged"),
    "a: not converged at 50 queries": ("C", "not converged"),
    "b: not converged at 10 queries": ("C", "not converged earlier"),
    "b: more queries gave less: 90.0 % at 10 queries, 80.0 % at 50": ("B", "fell by the budget"),
    "b: more queries gave less: 90.0 % at 10 queries, 80.0 % at 20": ("C", "fell earlier"),
    "upper bound: b saw the victim itself": ("B", "upper bound"),
    "upper bound: a saw the victim itself": ("C", "upper bound"),
    "a: more information gave less: 80.0 %, and b, which uses labels only, 98.0 %: the defense "
    "broke the optimiser, not the leak": ("B", "labels gave more"),
    "declared label-preserving, the defense kept 98.00 % of honest customers' labels, under b": (
        "A",
        "invalid",
    ),
    "rounding: at strength zero it is not the same as no defense: 3 of 100 rows differ": (
        "A",
        "invalid",
    ),
    "something that nobody knows any more": ("B", "bound"),
}


@pytest.mark.parametrize("line", OLD)
def test_a_flag_of_an_older_record_has_the_grade_that_it_would_have_today(line: str) -> None:
    tree = summary(attack="suite", winner="b").to_json()
    found = Summary.from_json(tree | {"version": 2, "flags": [line], "marks": ["flagged (1)"]})
    assert [(flag.grade, flag.words) for flag in found.flags] == [OLD[line]]


def test_an_older_record_of_a_stack_is_naive_until_each_layer_was_met() -> None:
    def marks(aware: dict[str, list[str]]) -> list[str]:
        tree = summary(defense="prada+mad", aware=aware).to_json() | {"version": 2}
        return [str(mark) for mark in Summary.from_json(tree).marks]

    assert marks({"a": ["mad"]}) == ["B: naive only"]
    assert marks({"a": ["mad"], "b": ["prada"]}) == []


def test_todays_flags_come_back_as_they_are() -> None:
    told = [Flag("C", "a: not converged at 50 queries", "not converged", "a"), Flag("A", "x")]
    made = summary(flags=told, defense="mad")
    assert Summary.from_json(made.to_json()).flags == told
    assert made.to_json()["marks"] == ["A: invalid", "C: not converged"]


def test_time_added_is_never_negative_wherever_a_record_is_shown() -> None:
    """Earlier versions wrote a clock's noise: terminal, MLflow's note and a report read it here."""
    made = summary(summaries={"a": {"honest_seconds_added": -1e-4, "area": -0.5}})
    read = Summary.from_json(made.to_json())
    assert read.summaries["a"] == {"honest_seconds_added": 0.0, "area": -0.5}

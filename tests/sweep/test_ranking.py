"""A sweep ends with a row a defense, over seeds, and a sentence."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from made_runs import run

from moatbench.record.curve import CurveFile
from moatbench.record.flag import Flag
from moatbench.sweep.manifest import Entry
from moatbench.sweep.progress import Job
from moatbench.sweep.ranking import of_sweep

ENDS = {"none": 1.0, "rounding": 0.95, "label_only": 0.9}


def jobs(folder: Path, ends: dict[str, float], attacks: Sequence[str], **more: Any) -> list[Job]:
    """What a sweep leaves: a folder for each defense, attack and seed."""
    made: list[Job] = []
    for defense, end in ends.items():
        for attack in attacks:
            for seed in range(3):
                one = run(defense, attack, seed, (0.1, 0.2, end - seed / 100), **more)
                place = folder / str(len(made))
                place.mkdir(parents=True)
                file = CurveFile(place / "curve.csv")
                for row in one.rows:
                    file.add(row)
                told = replace(one.summary, summaries={attack: {"final_fidelity_test": end}})
                made.append(Job(Entry(len(made), str(place)), told))
    return made


def test_defenses_are_ranked_over_their_seeds(tmp_path: Path) -> None:
    text = of_sweep(jobs(tmp_path, ENDS, ["solve", "adapt"], flags=[Flag("B", "b", "naive only")]))
    lines = text.splitlines()
    assert lines[0] == "Softmax on Iris: 50 queries, 3 seeds, the worst of 2 attacks"
    assert [line.split()[0] for line in lines[4:7]] == ["Labels", "Rounding", "No"]
    assert lines[4].split()[-5:] == ["89.0", "86.5", "to", "91.5", "44.5"]
    assert "B: naive only: Labels only, Rounding" in text
    assert "No defense is shown to hold: behind Labels only, the best of the 2 tried" in text
    assert max(map(len, lines)) <= 100


def test_one_defense_is_told_by_attack(tmp_path: Path) -> None:
    lines = of_sweep(jobs(tmp_path, {"rounding": 0.9}, ["adapt", "solve"])).splitlines()
    assert lines[2].startswith("attack on Rounding")
    assert {line.split()[0] for line in lines[4:6]} == {"Adapt", "Solve"}


def test_runs_that_cannot_be_compared_have_a_row_each_and_the_reason(tmp_path: Path) -> None:
    made = jobs(tmp_path, {"none": 1.0}, ["solve"])
    assert made[0].summary is not None
    other = replace(made[0].summary, versions={"moatbench": "0.0"})
    text = of_sweep([*made[1:], made[0]._replace(summary=other)])
    assert text.count("finished") == 3
    assert "no ranking: runs of 2 code versions" in " ".join(text.split())


def test_a_sweep_of_which_nothing_is_left_says_so() -> None:
    assert "failed" in of_sweep([Job(Entry(0, "gone"), None)])

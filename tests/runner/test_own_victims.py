"""A number that is measured on a victim that is less than a model is marked as such."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import Run, by_hand

from moatbench.record.flag import BOUND, INVALID, NOTE
from moatbench.record.summary import Summary
from moatbench.reply import Reply
from moatbench.runner.card import first_line
from moatbench.runner.checks.flags import of_victim
from moatbench.types import Array, Labels
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.own import own_model


def always(label: int) -> Callable[[Array], Reply]:
    return lambda x: Reply(np.full(len(x), label))


def with_truth(victim: Victim, y: Labels) -> Victim:
    return replace(victim, shares=replace(victim.shares, y_test=y))


def test_a_constant_victim_is_invalid(toy: Victim) -> None:
    victim = by_hand(always(1), np.random.default_rng(0).uniform(-1, 1, (60, 2)), (20, 40))
    (flag,) = of_victim(with_truth(victim, np.arange(20, dtype=np.int64) % 3))
    assert (flag.grade, flag.mark) == (INVALID, "constant victim")
    assert "answers 'b' to every test row" in flag.text


def test_a_victim_no_better_than_a_constant_is_invalid(toy: Victim) -> None:
    labels = toy.predict(toy.shares.x_test).labels
    (flag,) = of_victim(with_truth(toy, (labels + 1) % 3))
    assert (flag.grade, flag.mark) == (INVALID, "no better than a constant")
    assert of_victim(toy) == []


def test_the_flag_names_the_encoding_under_which_a_model_is_better() -> None:
    def on_scaled_columns(x: Array) -> Array:
        return 1 / (1 + np.exp(9 * x[:, :1] + 3))

    victim = own_model(bundled("breast_cancer"), np.random.default_rng(0), on_scaled_columns)
    (flag,) = of_victim(victim)
    assert flag.mark == "constant victim"
    assert "with victim.encoding=scaled it is right on 8" in flag.text


@pytest.mark.parametrize(
    ("stated", "grade", "said"),
    [
        (
            0.99,
            INVALID,
            r"right on 90\.0 % of 150 test rows .* its owner states 99\.0 %; is it asked",
        ),
        (0.93, "", ""),  # 150 rows may err so far
        (0.6, NOTE, r"states 60\.0 %; was it trained on these rows"),
        (None, "", ""),
    ],
)
def test_the_accuracy_that_an_owner_states_is_held_against_the_measured_one(
    stated: float | None, grade: str, said: str
) -> None:
    data = bundled("breast_cancer")
    ask = np.random.default_rng(0)
    victim = own_model(data, ask, lambda x: (x[:, 0] < 15).astype(int), accuracy=stated)
    labels = victim.predict(victim.shares.x_test[:150]).labels
    y = np.where(np.arange(150) < 135, labels, 1 - labels)
    shares = replace(victim.shares, x_test=victim.shares.x_test[:150], y_test=y)
    flags = of_victim(replace(victim, shares=shares))
    assert "".join(flag.grade for flag in flags) == grade
    assert all(re.search(said, flag.text) for flag in flags)


@pytest.mark.parametrize("wrong", [89, -0.1, True, "high"])
def test_an_accuracy_is_stated_as_a_share(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"victim\.accuracy must be .*0\.89 for 89 %"):
        own_model(bundled("iris"), np.random.default_rng(0), lambda x: x, accuracy=wrong)


def test_a_victim_that_varies_bounds_what_can_be_measured(toy: Victim) -> None:
    facts = {"agrees_with_itself": 0.875}
    victim = replace(toy, shares=replace(toy.shares, provenance=facts))
    (flag,) = of_victim(victim)
    assert (flag.grade, flag.mark) == (BOUND, "the victim varies")
    assert "agrees with itself on 87.5 % of labels" in flag.text


def test_the_first_line_sets_accuracy_beside_a_constant_answer(toy: Victim) -> None:
    assert first_line(toy) == ""
    facts = {"model": "XGBoost, 9 rounds", "asked": "frame"}
    line = first_line(replace(toy, shares=replace(toy.shares, provenance=facts)))
    assert line.startswith("victim: XGBoost, 9 rounds, softmax, asked as frame (4 columns): 100.0 ")
    assert "best constant answer has" in line


OWN = """import numpy as np

class Wrong:
    def __call__(self, x):
        return np.zeros(len(x))
"""


@pytest.mark.usefixtures("tracked")
def test_a_run_on_a_constant_model_says_so_from_the_first_line_to_the_last(
    moatbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_wrong.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, err = moatbench(
        "data=breast_cancer",
        "victim=own",
        "victim.model._target_=mine_wrong.Wrong",
        "defense=none",
        "attack=uniform_retraining",
        "checkpoints=[10]",
    )
    assert status == 0, err
    assert "where the best constant answer has 62" in out + err
    assert "A invalid:" in out + err
    (folder,) = {file.parent for file in tmp_path.glob("runs/*/*/summary.json")}
    assert "constant victim" in {flag["mark"] for flag in map(dict, _flags(folder))}


def _flags(folder: Path) -> list[dict[str, str]]:
    return [flag._asdict() for flag in Summary.read(folder).flags]

"""Fidelity on a declared foreign set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shop import Run

from moatbench.client import Surrogate
from moatbench.judge.judge import Judge
from moatbench.record import curve
from moatbench.reply import from_outputs
from moatbench.types import Array
from moatbench.victim import Victim


def abroad(toy: Victim) -> Victim:
    rows = np.random.default_rng(9).uniform(0.5, 1, (40, 4))
    return replace(toy, shares=replace(toy.shares, foreign=rows))


def test_it_is_judged_where_it_is_declared_and_moves_no_other_number(toy: Victim) -> None:
    def constant(x: Array) -> object:
        return from_outputs(np.tile([0.0, 1.0, 0.0], (len(x), 1)))

    copy = Surrogate(constant)  # type: ignore[arg-type]
    without = Judge(toy, np.random.default_rng(0)).score(copy)
    scores = Judge(abroad(toy), np.random.default_rng(0)).score(copy)
    rows = abroad(toy).shares.foreign
    assert rows is not None
    assert scores["fidelity_foreign"] == (toy.predict(rows).labels == 1).mean()
    assert {k: v for k, v in scores.items() if not k.endswith("foreign")} == without


def test_a_victim_whose_rows_cost_is_asked_fewer_uniform_ones(toy: Victim) -> None:
    victim = replace(abroad(toy), judged=400)
    judge = Judge(victim, np.random.default_rng(0))
    assert sum(len(sample.x) for sample in judge.samples) == 400


def test_a_run_tells_it(moatbench: Run) -> None:
    some = ("data=digits", "victim=softmax", "attack=pool_retraining", "checkpoints=[30]")
    status, out, err = moatbench(
        *some, "data@foreign=photos", "foreign.rows=50", "tracking.enabled=false"
    )
    assert status == 0, err
    assert "test/uniform/foreign" in out
    (file,) = Path("runs").rglob("curve.csv")
    (row,) = curve.read(file)
    assert 0 < row["fidelity_foreign"] <= 1
    assert "data@foreign=photos foreign.rows=50" in " ".join(out.replace("\\\n", " ").split())


@pytest.mark.parametrize("key", ["foreign", "outliers"])
def test_a_set_of_another_shape_is_refused_before_a_victim_is_trained(
    key: str, moatbench: Run
) -> None:
    status, _, err = moatbench("data=digits", f"data@{key}=iris", "tracking.enabled=false")
    assert status == 1
    assert f"{key} must be pictures, as data digits are, got iris" in err

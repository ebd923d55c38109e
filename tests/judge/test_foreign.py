"""Fidelity on a declared foreign set."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import cells, run
from shop import Run

from moatbench.client import Surrogate
from moatbench.judge.judge import Judge
from moatbench.record import curve
from moatbench.reply import from_outputs
from moatbench.report.measure.worst import fields
from moatbench.report.select.selection import select
from moatbench.report.write.contents import tables
from moatbench.report.write.methods import paragraph
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


def test_a_report_has_its_table_and_names_it_where_it_was_declared() -> None:
    known = {"name": "digits", "sha256": "d", "rows": 150, "test_share": 0.3}
    abroad = {**known, "foreign": {"name": "photos", "rows": 40}}
    told: dict[str, Any] = {"row": {"fidelity_foreign": 0.25}, "data_provenance": abroad}
    found = cells("attacks_foreign", run("none", **told), run("mine", **told))
    assert {row["maximum"].strip("*") for row in found.values()} == {"25.0"}
    selection = select([run("none", **told)])
    assert "and on rows of photos (foreign)" in paragraph(selection, fields(selection))
    without = select([run("none", data_provenance=known)])
    assert "foreign" not in paragraph(without, fields(without))
    assert "attacks_foreign" not in [table.name for table in tables(without, fields(without))]

"""A run against a service that ends it: the curve so far stands, and the same command goes on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from services import Answer, Shop, answering, petals
from shop import Run, attack_of

from moatbench.data import Dataset
from moatbench.data.frame import from_frame
from moatbench.defense import Defense
from moatbench.record.curve import read
from moatbench.runner.extract import extract
from moatbench.victims.remote import http


def noisy(body: Any) -> Answer:
    n = len(body["dataframe_split"]["data"])
    return 200, {"predictions": np.random.default_rng(n).dirichlet([1, 1, 1], n).tolist()}


def casting(body: Any) -> Answer:
    frame = body["dataframe_split"]
    whole = [[int(value) for value in row] for row in frame["data"]]
    return petals({"dataframe_split": {**frame, "data": whole}})


def renamed(body: Any) -> Answer:
    return 200, {"scores": petals(body)[1]["predictions"]}


def command(url: str, folder: Path, *more: str) -> list[str]:
    return [
        *("victim=http", f"victim.url={url}", "data=iris", "defense=none"),
        *("victim.family=softmax", "victim.tries=1", "victim.judge_rows=120"),
        *("attack=equation_solving", "checkpoints=[20,60]", "tracking.enabled=false"),
        *(f"hydra.run.dir={folder}/run", f"cache={folder}/cache", *more),
    ]


@pytest.mark.parametrize(
    ("odd", "after", "reached", "said"),
    [
        (lambda body: (404, "closed"), 180, [20], "answered 404: .closed"),
        (renamed, 180, [20], "changed its schema"),
        (noisy, 180, [20, 60], "it varies, or is another model now"),
        (casting, 180, [20, 60], "it varies, or is another model now"),
    ],
)
def test_a_service_that_turns_odd_midway_leaves_the_curve_so_far_and_the_same_goes_on(
    odd: Callable[[Any], Answer],
    after: int,
    reached: list[int],
    said: str,
    tmp_path: Path,
    moatbench: Run,
) -> None:
    shop = Shop(odd, after)
    with answering(shop) as (url, _):
        status, out, _ = moatbench(*command(url, tmp_path))
        told = summary_of(tmp_path)
        assert (status, told["status"], told["failed"]) == (0, "stopped", {})
        assert re.search(said, told["reason"])
        assert any(one["mark"] == "ended early" and one["grade"] == "B" for one in told["flags"])
        assert f"after {reached[-1]} queries" in " ".join(out.split())
        rows = read(tmp_path / "run" / "curve.csv")
        assert [row["queries"] for row in rows] == reached
        shop.well = True
        again, _, _ = moatbench(*command(url, tmp_path))
    assert again == 0
    assert summary_of(tmp_path)["status"] == "finished"
    assert [row["queries"] for row in read(tmp_path / "run" / "curve.csv")] == [20, 60]


def test_a_cap_ends_a_run_with_the_curve_so_far_and_a_larger_one_goes_on(
    tmp_path: Path, moatbench: Run
) -> None:
    shop = Shop(petals, 0)
    with answering(shop) as (url, _):
        status, _, _ = moatbench(*command(url, tmp_path, "victim.most_rows=180"))
        told, paid = summary_of(tmp_path), shop.rows
        assert (status, told["status"], told["reached"], paid) == (0, "stopped", 20, 180)
        assert "victim.most_rows=180 is reached" in told["reason"]
        again = command(url, tmp_path, "victim.most_rows=400", "force=true")
        moatbench(*(a.replace("/run", "/again") for a in again))
    assert shop.rows == 208  # and no row twice


def test_columns_of_whole_numbers_are_sent_whole_so_that_a_cast_changes_nothing() -> None:
    at = np.arange(99)
    frame = pd.DataFrame({"a": at % 9, "b": at % 7, "label": np.where(at % 9 > 4, "y", "x")})
    data = Dataset(from_frame(frame, "whole", "label", [], "drop", [], {}), units="own")

    def answer(body: Any) -> Answer:
        a = np.array(body["dataframe_split"]["data"], dtype=float)[:, 0]
        assert (a == np.trunc(a)).all()
        return 200, {"predictions": np.stack([(9 - a) / 9, a / 9], axis=1).tolist()}

    with answering(answer) as (url, _):
        victim = http(data, np.random.default_rng(0), url, family="softmax")
        attack = attack_of("equation_solving")
        points = list(extract(victim, Defense(), attack, checkpoints=[20]))
    assert points[-1].metrics["fidelity_test"] > 0.9


def summary_of(folder: Path) -> Any:
    return json.loads((folder / "run" / "summary.json").read_text())

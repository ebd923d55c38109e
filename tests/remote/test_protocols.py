"""What is sent and read in each protocol, and the looks before a run."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from services import Answer, answering, thirds

from moatbench.cli import endpoint as command
from moatbench.remote.address import Place
from moatbench.remote.mapping import Mapped, Told, Unreadable
from moatbench.remote.reading import Reading

NO_YES = [{"no": 0.1, "yes": 0.9}, {"no": 0.8, "yes": 0.2}]
COLUMNS: dict[str, list[Any]] = {
    "age": [37, 41],
    "job": ["a", "b"],
    "on": [True, False],
    "pay": [1.5, 2.0],
}


def test_v2_sends_a_tensor_a_column_and_reads_flat_and_nested() -> None:
    v2 = Mapped("v2")
    body = v2.body(COLUMNS)
    assert [t["datatype"] for t in body["inputs"]] == ["INT64", "BYTES", "BOOL", "FP64"]
    assert body["inputs"][0] == {
        "name": "age",
        "shape": [2, 1],
        "datatype": "INT64",
        "data": [37, 41],
    }
    proba = {"name": "predict_proba", "shape": [2, 2], "datatype": "FP64", "data": [0.1, 0.9, 1, 0]}
    label = {"name": "predict", "shape": [2, 1], "datatype": "BYTES", "data": ["yes", "no"]}
    told = v2.read({"outputs": [label, proba]}, 2)
    assert told == [Told("yes", [0.1, 0.9]), Told("no", [1, 0])]
    assert v2.read({"outputs": [label]}, 2) == [Told(None, "yes"), Told(None, "no")]
    place = Place.of("https://host/v2/models/credit?v=1")
    assert v2.at(place).path == "/v2/models/credit/infer?v=1"


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({"data": "$records", "n": "$n"}, {"data": [{"age": 37}, {"age": 41}], "n": 2}),
        (
            {"in": {"columns": "$columns", "data": "$rows"}},
            {"in": {"columns": ["age"], "data": [[37], [41]]}},
        ),
        (
            {"c": "$by_column", "i": "$index", "v": "x"},
            {"c": {"age": [37, 41]}, "i": [0, 1], "v": "x"},
        ),
    ],
)
def test_a_template_is_filled(request_: Any, sent: Any) -> None:
    assert Mapped("template", request_, "p").body({"age": [37, 41]}) == sent


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("predictions", {"predictions": [[0.1, 0.9], [0.8, 0.2]]}),
        ("result[].s.[no, yes]", {"result": [{"s": NO_YES[0]}, {"s": NO_YES[1]}]}),
        ("@", NO_YES),
        ("p", {"p": [0.9, 0.2]}),
    ],
)  # fmt: skip
def test_a_template_reads_answers_of_many_shapes(path: str, answer: Any) -> None:
    told = Mapped("template", "$rows", path).read(answer, 2)
    reading = Reading.of(told, ["no", "yes"], binary="p1" if path == "p" else None)
    reply = reading.reply(told)
    assert reply.outputs == pytest.approx(np.array([[0.1, 0.9], [0.8, 0.2]]))
    assert reply.labels.tolist() == [1, 0]


def test_an_answer_that_is_not_understood_is_shown() -> None:
    with pytest.raises(Unreadable, match=r'b matches nothing\), with the keys a: \{"a": \[1\]\}'):
        Mapped("template", "$rows", "b").read({"a": [1]}, 1)
    with pytest.raises(Unreadable, match="2 predictions were expected, got 1"):
        Mapped("mlflow").read({"predictions": [1]}, 2)


def test_labels_alone_are_a_victim_of_labels() -> None:
    told = Mapped("mlflow").read({"predictions": ["yes", "no"]}, 2)
    reading = Reading.of(told, ["no", "yes"])
    assert not reading.confidences
    assert reading.reply(told).labels.tolist() == [1, 0]


def test_rounded_probabilities_are_made_whole_and_the_label_is_the_services_own() -> None:
    told = [Told("b", [0.33, 0.33, 0.33])]
    reply = Reading.of(told, ["a", "b", "c"]).reply(told)
    assert reply.outputs is not None
    assert reply.outputs.sum() == pytest.approx(1)
    assert reply.labels.tolist() == [1]


def test_one_look_tells_what_was_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def casting(body: Any) -> Answer:
        frame = body["dataframe_split"]
        at = np.trunc(np.array(frame["data"], dtype=float)[:, 0]) / 100
        return 200, {"predictions": np.stack([at, 1 - at], axis=1).tolist()}

    caplog.set_level(logging.ERROR)
    monkeypatch.chdir(tmp_path)
    ages = np.random.default_rng(0).integers(20, 90, 200)
    rows = [
        f"{age},{pay:.1f},{'yes' if age > 50 else 'no'}"
        for age, pay in zip(ages, ages / 7, strict=True)
    ]
    Path("mine.csv").write_text("\n".join(["age,pay,label", *rows]))
    with answering(casting) as (url, requests):
        given = [f"victim.url={url}", "data=csv", "data.path=mine.csv", "data.target=label"]
        told = command.shown([*given, "data_dir=.", "attack=equation_solving", "checkpoints=[50]"])
    assert "fractions are CAST to whole numbers: age" in told
    assert "probabilities of no, yes" in told
    assert "a run would ask up to" in told
    assert sum(len(body["dataframe_split"]["data"]) for *_, body in requests) < 150
    assert json.dumps("age") in told


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    from moatbench.compose.deployed import composed
    from moatbench.runner.estimate import estimate

    with answering(thirds) as (url, requests):
        given = [
            "victim=http",
            f"victim.url={url}",
            "data=iris",
            "attack=top1",
            f"cache={tmp_path}",
        ]
        given += ["victim.dry_run=true", "checkpoints=[20,50]", "victim.price=0.01"]
        with composed(given) as (cfg, choices):
            told = estimate(cfg, choices["attack"])
    assert "up to 1,287 rows in 13 requests or more, $12.87" in told
    assert not requests


def test_no_rows_get_no_answers() -> None:
    told = [Told("a", [0.25, 0.75])]
    reply = Reading.of(told, ["a", "b"]).reply([])
    assert reply.outputs is not None
    assert reply.outputs.shape == (0, 2)

"""A defense around somebody's own application, and around MLflow's scoring server."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from asking import Told, ask, now
from fastapi import FastAPI, HTTPException, Request
from shop import defense_of

from moatbench.defense import Defense
from moatbench.serving import inner, keys, protect
from moatbench.serving.inner import Inner
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.store import Store
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.victim import Shares

SPACE = InputSpace.box(4)
ROWS = np.random.default_rng(0).uniform(-1, 1, (5, 4))


def probabilities(x: Any) -> Any:
    p = np.exp(np.asarray(x) @ np.arange(12).reshape(4, 3))
    return p / p.sum(axis=1, keepdims=True)


def plain(labels: bool = False, broken: bool = False) -> FastAPI:
    """Somebody's own scoring application."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> str:
        return "pong"

    @app.post("/backdoor")
    async def backdoor() -> str:
        return "undefended"

    @app.post("/invocations")
    async def invocations(request: Request) -> dict[str, Any]:
        asked = await request.json()
        if broken:
            raise HTTPException(500, "Traceback")
        p = probabilities(asked["dataframe_split"]["data"])
        return {"predictions": p.argmax(axis=1).tolist() if labels else p.tolist()}

    @app.post("/v2/models/mine/infer")
    async def infer(request: Request) -> dict[str, Any]:
        (tensor,) = (await request.json())["inputs"]
        p = probabilities(np.array(tensor["data"]).reshape(tensor["shape"]))
        proba = {"name": "predict_proba", "shape": list(p.shape), "datatype": "FP64"}
        return {"model_name": "mine", "outputs": [proba | {"data": p.ravel().tolist()}]}

    return app


def post(app: Any, x: Any, headers: Mapping[str, str] | None = None) -> Told:
    return now(ask(app, "/invocations", {"inputs": np.asarray(x).tolist()}, headers))


@pytest.mark.parametrize("protocol", ["mlflow", "v2"])
def test_answers_are_the_applications_after_the_defense(protocol: str) -> None:
    app = protect(
        plain(), defense=defense_of("rounding"), space=SPACE, protocol=protocol, name="mine"
    )
    told = post(app, ROWS).json()
    assert told["predictions"] == np.round(probabilities(ROWS), 2).tolist()
    tensor = {"name": "x", "shape": [5, 4], "datatype": "FP64", "data": ROWS.tolist()}
    v2 = now(ask(app, "/v2/models/mine/infer", {"inputs": [tensor]})).json()
    assert v2["outputs"][0]["data"] == told["labels"]


def test_an_application_of_labels_needs_its_classes() -> None:
    bare = protect(plain(labels=True), defense=Defense(), space=SPACE)
    assert post(bare, ROWS).status == 500
    app = protect(plain(labels=True), defense=Defense(), space=SPACE, classes=["0", "1", "2"])
    assert post(app, ROWS).json()["predictions"] == probabilities(ROWS).argmax(axis=1).tolist()


def test_no_other_way_leads_to_the_model() -> None:
    app = protect(plain(), defense=Defense(), space=SPACE)
    assert now(ask(app, "/ping")).body == b'"pong"'
    assert now(ask(app, "/backdoor", {})).status == 404
    assert now(ask(app, "/docs")).status == 404


def test_what_is_no_valid_row_never_reaches_the_application() -> None:
    app = protect(plain(broken=True), defense=Defense(), space=SPACE, classes=["a", "b", "c"])
    told = post(app, ROWS)
    assert (told.status, b"Traceback" in told.body) == (502, False)
    assert post(protect(plain(), defense=Defense(), space=SPACE), ROWS * 100).status == 422


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        ("mlflow", b"no json"),
        ("mlflow", {"predictions": [[0.5, 0.5]] * 5}),
        ("mlflow", {"predictions": [[0.2, 0.3, 0.5]] * 4}),
        ("mlflow", {"predictions": [[0.2, 0.3, 0.5]] * 4 + [[1]]}),
        ("mlflow", {"predictions": [[0.2, 0.3, None]] * 5}),
        ("mlflow", {"predictions": [["a", "b", "c"]] * 5}),
        ("mlflow", {"predictions": ["elsewhere"] * 5}),
        ("mlflow", []),
        ("v2", {"outputs": None}),
        ("v2", {"outputs": [{"name": "predict"}]}),
        ("v2", {"outputs": [{"name": "predict", "shape": [4, 3], "data": [0.1] * 12}]}),
        ("v2", {"outputs": [{"name": "predict", "shape": [9, 9], "data": [0.1]}]}),
    ],
)
def test_a_model_that_answers_something_else_is_502(protocol: str, told: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    classes = ["a", "b", "c"]
    asked = Inner(app, SPACE, protocol, "model", classes)
    with asyncio.Runner() as runner:
        asked.loop = runner.get_loop()

        async def answer() -> Problem:
            with pytest.raises(Problem) as ended:
                await asyncio.to_thread(asked.predict, ROWS)
            return ended.value

        problem = runner.run(answer())
    assert (problem.status, "the model behind this service answered" in problem.detail) == (
        502,
        True,
    )


def test_a_model_that_is_slow_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inner, "PATIENCE", 0.05)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    defended = protect(app, defense=defense_of("rounding"), space=SPACE, classes=["a", "b", "c"])
    told = post(defended, ROWS[:1])
    assert (told.status, told.headers["retry-after"]) == (503, "1")


def test_accounts_are_told_apart_by_what_they_send() -> None:
    quota = defense_of("quota", "defense.quota.monitor.limit=5")
    app = protect(plain(), defense=quota, space=SPACE)
    alice, bob = ({"authorization": f"Bearer {name}"} for name in ("alice", "bob"))
    assert [post(app, ROWS, alice).status, post(app, ROWS, alice).status] == [200, 403]
    assert post(app, ROWS, bob).status == 200
    assert post(app, ROWS).status == 200
    named = protect(
        plain(),
        defense=defense_of("quota", "defense.quota.monitor.limit=5"),
        space=SPACE,
        account=lambda scope: "one",
    )
    assert [post(named, ROWS, alice).status, post(named, ROWS, bob).status] == [200, 403]


def test_with_a_state_keys_are_asked_for_and_nothing_is_forgotten(tmp_path: Path) -> None:
    _, key = keys.create(Store(tmp_path), "alice")
    headers = {"authorization": f"Bearer {key}"}
    quota = "quota", "defense.quota.monitor.limit=5"
    app = protect(plain(), defense=defense_of(*quota), space=SPACE, state=tmp_path)
    assert [post(app, ROWS).status, post(app, ROWS, headers).status] == [401, 200]
    app.close()
    again = protect(plain(), defense=defense_of(*quota), space=SPACE, state=tmp_path)
    assert post(again, ROWS[:1], headers).status == 403


def test_names_and_whole_numbers_are_sent_as_the_owner_has_them() -> None:
    space = InputSpace(
        (
            Numeric("age", 17, 90, 1),
            Categorical("job", ("clerk", "cook")),
            Categorical("married", ("False", "True"), one_hot=False),
        )
    )
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        rows = json.loads((await receive())["body"])["dataframe_split"]
        seen.append(rows)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        p = [[0.5, 0.5]] * len(rows["data"])
        body = json.dumps({"predictions": p}).encode()
        await send({"type": "http.response.body", "body": body})

    record = {"age": 20, "job": "cook", "married": True}
    told = now(
        ask(protect(app, defense=Defense(), space=space), "/invocations", {"instances": [record]})
    )
    assert told.status == 200
    assert seen[-1] == {"columns": ["age", "job", "married"], "data": [[20, "cook", True]]}


def test_a_monitor_is_calibrated_on_the_shares_that_are_given() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (400, 4))
    y = probabilities(x).argmax(axis=1)
    shares = Shares(SPACE, ("0", "1", "2"), x[:300], y[:300], x[:0], x[300:], y[300:])
    app = protect(plain(), defense=defense_of("seat"), space=SPACE, shares=shares)
    line = x[0] + np.linspace(0, 1e-3, 100)[:, None] * (x[1] - x[0])
    assert post(app, x[:50]).status == 200
    assert post(app, line).json()["refused"]


@pytest.mark.slow
def test_mlflows_own_scoring_server_is_defended_in_three_lines(tmp_path: Path) -> None:
    import mlflow
    from mlflow.pyfunc import scoring_server
    from sklearn.linear_model import LogisticRegression

    names = [feature.name for feature in SPACE.features]
    x = pd.DataFrame(np.random.default_rng(1).uniform(-1, 1, (90, 4)), columns=names)
    model = LogisticRegression().fit(x, np.arange(90) % 3)
    mlflow.sklearn.save_model(
        model,
        tmp_path / "m",
        pyfunc_predict_fn="predict_proba",
        pip_requirements=[],  # to find them out takes long
        skops_trusted_types=["numpy.dtype"],
    )
    served = scoring_server.init(mlflow.pyfunc.load_model(str(tmp_path / "m")))
    app = protect(served, defense=defense_of("rounding"), space=SPACE)
    told = post(app, ROWS).json()
    assert (
        told["predictions"]
        == np.round(model.predict_proba(pd.DataFrame(ROWS, columns=names)), 2).tolist()
    )
    assert now(ask(app, "/ping")).status == 200

"""What other people's programs do with a served defense: `mlflow models serve`, nginx, HAProxy."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from databases import free_port, postgres
from load import request, sent
from services import serving
from shop import ROOT, tool

from moatbench.defenses.rounding import Rounding
from moatbench.serving import Counts, Forward, keys, protect
from moatbench.serving.store import Store
from moatbench.space import InputSpace, Numeric

pytestmark = pytest.mark.slow
WAYS = [
    "Authorization: Bearer {key}",
    "authorization: bearer {key}",
    "Authorization: Bearer   {key}",
    "X-API-Key: {key}",
]


@contextmanager
def running(command: list[str], ready: str, folder: Path, **variables: str) -> Iterator[None]:
    """Run a program, until an address answers; end it afterwards."""
    with (folder / "out.txt").open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "out.txt").read_text()
            try:
                urlopen(ready, timeout=5).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # what it started as well
        process.wait(20)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def told(port: int, rows: Any, key: str = "") -> tuple[int, Any]:
    body = json.dumps({"inputs": np.asarray(rows).tolist()}).encode()
    status, data = asyncio.run(sent(port, request("/invocations", body, key)))
    return status, json.loads(data)


def test_protect_stands_before_mlflow_models_serve(tmp_path: Path) -> None:
    import mlflow
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(x, y)
    place = tmp_path / "model"
    known: Mapping[str, Any] = {"pyfunc_predict_fn": "predict_proba", "pip_requirements": []}
    mlflow.sklearn.save_model(model, place, **known)
    port = free_port()
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(place), "-p", str(port)]
    space = InputSpace(tuple(Numeric(f"x{i}", 0, 10) for i in range(4)))
    app = protect(
        Forward(f"http://127.0.0.1:{port}"),
        defense=Rounding(decimals=2),
        space=space,
        state=tmp_path / "state",
    )
    store = Store(tmp_path / "state")
    key = keys.create(store, "alice", 60)[1]
    store.close()
    programs = [str(Path(place).parents[3] / "bin") for place in mlflow.__path__]  # uvicorn's
    path = os.pathsep.join([str(Path(sys.executable).parent), *programs, os.environ["PATH"]])
    with (
        running(
            [*serve, "--env-manager", "local"], f"http://127.0.0.1:{port}/ping", tmp_path, PATH=path
        ),
        serving(app) as url,
    ):
        status, answer = told(port_of(url), x[::3], key)
        assert status == 200
        assert np.array_equal(answer["predictions"], np.round(model.predict_proba(x[::3]), 2))
        assert told(port_of(url), x[:1])[0] == 401
        assert told(port_of(url), x[:20], key)[0] == 402  # its budget is spent
        _, plain = told(port, x[:1])
        assert np.allclose(plain["predictions"], model.predict_proba(x[:1]))
    app.close()


def recipe(number: int) -> str:
    """Return a block of nginx's in docs/serving.md."""
    return (ROOT / "docs/serving.md").read_text().split("```nginx\n")[number].partition("```")[0]


@contextmanager
def balanced(kind: str, block: str, replicas: list[int], folder: Path) -> Iterator[int]:
    """Run a balancer as the docs say, before these ports; give its own."""
    port, folder = free_port(), folder / kind
    folder.mkdir()
    known = {"9000": port, "9001": replicas[0], "9002": replicas[1]}
    for told, real in known.items():
        block = block.replace(f":{told}", f":{real}")
    if kind == "nginx":
        paths = " ".join(
            f"{what}_temp_path {folder}/{what};"
            for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}"
        config += f" http {{ access_log off; {paths} {block} }}"
        command = [tool("nginx"), "-p", str(folder), "-c", str(folder / "conf")]
    else:
        each = zip("ab", replicas, strict=True)
        servers = "\n".join(f" server {name} 127.0.0.1:{p}" for name, p in each)
        config = (
            "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
        )
        config += f"listen shards\n bind 127.0.0.1:{port}\n{block}\n{servers}\n"
        command = [tool("haproxy"), "-f", str(folder / "conf")]
    (folder / "conf").write_text(config)
    with running(command, f"http://127.0.0.1:{port}/ping", folder):
        yield port


@contextmanager
def shards(folder: Path, names: list[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Run two services, each with a folder and keys of its own; give their ports, and the keys."""
    made, turns = [], {"a": names[::2], "b": names[1::2]}
    for shard, accounts in turns.items():
        store = Store(folder / shard)
        made += [keys.create(store, name, shard=shard)[1] for name in accounts]
        store.close()
    ports, given = [free_port(), free_port()], "victim=softmax data=iris defense=quota"
    start = [sys.executable, "-c", "from moatbench.cli.serve import main; main()", *given.split()]
    start += ["defense.quota.monitor.limit=20", "admin_port=0", f"cache={folder}/cache"]
    one, two = (
        running(
            [*start, f"port={port}", f"state={shard}", f"shard={shard}"],
            ready(port),
            folder,
            OMP_NUM_THREADS="1",
        )
        for port, shard in zip(ports, turns, strict=True)
    )
    with one, two:
        yield ports, made


def told_in(port: int, header: str) -> int:
    """Return the status of a row that is asked with this header."""
    name, _, value = header.partition(": ")
    data = json.dumps({"inputs": [[0.0] * 4]}).encode()
    kind = {"Content-Type": "application/json", name: value}
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}/invocations", data, kind)) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def ready(port: int) -> str:
    return f"http://127.0.0.1:{port}/ping"


@pytest.mark.needs("nginx")
@pytest.mark.needs("haproxy")
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_shards_by_key_keep_each_account_s_budget_exactly(kind: str, tmp_path: Path) -> None:
    block = recipe(2)
    if kind == "haproxy":
        rule = (ROOT / "docs/serving.md").read_text().split("HAProxy: `")[1].partition("`")[0]
        block = f" {rule}\n {rule.replace('server a', 'server b').replace('mb_a', 'mb_b')}"
    names = list("abcdefghijkl")
    with (
        shards(tmp_path, names) as (ports, sent_keys),
        balanced(kind, block, ports, tmp_path) as port,
    ):
        for key in sent_keys:
            statuses = [told_in(port, way.format(key=key)) for way in WAYS * 5]
            assert statuses == [200] * 20
            assert [told_in(port, way.format(key=key)) for way in WAYS] == [403] * 4
        wrong = [told(ports[1 - i // 6], [[0.0] * 4], key)[0] for i, key in enumerate(sent_keys)]
        assert wrong == [421] * 12
        assert [told(port, [[0.0] * 4], key)[0] for key in ("", "mb_a.x")] == [401] * 2
    stores = [Store(tmp_path / place) for place in ("a", "b")]
    seen = [{a.name: a.queries for a in store.accounts()} for store in stores]
    for store in stores:
        store.close()
    assert seen == [dict.fromkeys(names[::2], 24), dict.fromkeys(names[1::2], 24)]


@pytest.mark.needs("nginx")
def test_one_defense_before_two_models_is_exact(tmp_path: Path) -> None:
    asked = [0, 0]

    def model(place: int) -> Any:
        from fastapi import FastAPI, Request

        app = FastAPI()

        @app.get("/ping")
        async def ping() -> str:
            return ""

        @app.post("/invocations")
        async def invocations(request: Request) -> dict[str, Any]:
            asked[place] += 1
            x = np.array((await request.json())["dataframe_split"]["data"])
            return {"predictions": np.stack([x[:, 0], 1 - x[:, 0]], axis=1).tolist()}

        return app

    space = InputSpace((Numeric("a", 0, 1),))
    with serving(model(0)) as one, serving(model(1)) as two:
        replicas = [port_of(one), port_of(two)]
        with balanced("nginx", recipe(1), replicas, tmp_path) as port:
            app = protect(
                Forward(f"http://127.0.0.1:{port}"), defense=Rounding(decimals=1), space=space
            )
            with serving(app) as url:
                answers = [told(port_of(url), [[0.1 * i]]) for i in range(10)]
    assert all(status == 200 for status, _ in answers)
    assert [round(a["predictions"][0][0], 6) for _, a in answers] == [
        round(0.1 * i, 6) for i in range(10)
    ]
    assert min(asked) > 0


@pytest.mark.needs("postgresql")
def test_replicas_that_count_in_postgresql_never_answer_more_than_a_budget(tmp_path: Path) -> None:
    def replica(counts: Counts) -> Any:
        async def model(scope: Any, receive: Any, send: Any) -> None:
            n = len(json.loads((await receive())["body"])["dataframe_split"]["data"])
            body = json.dumps({"predictions": [[0.26, 0.74]] * n}).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

        space = InputSpace((Numeric("a", 0, 1),))
        return protect(model, defense=Rounding(decimals=1), space=space, counts=counts)

    with postgres("counts") as database:
        counts = [Counts(database), Counts(database)]
        counts[0].add("alice's", "alice", budget=100)
        with serving(replica(counts[0])) as one, serving(replica(counts[1])) as two:
            ports = [port_of(one), port_of(two)]

            async def clients() -> list[int]:
                body = json.dumps({"inputs": [[0.5]] * 3}).encode()
                message = request("/invocations", body, "alice's")
                return [
                    s
                    for s, _ in await asyncio.gather(
                        *(sent(ports[i % 2], message) for i in range(60))
                    )
                ]

            statuses = asyncio.run(clients())
            assert told(ports[0], [[0.5]], "alice's")[0] == 200
            assert told(ports[1], [[0.5]], "alice's")[0] == 402
            assert told(ports[1], [[0.5]], "nobody's")[0] == 401
        assert (statuses.count(200), statuses.count(402)) == (33, 27)
        assert counts[1].counted() == {"alice": 100}
        for one_pool in counts:
            one_pool.close()

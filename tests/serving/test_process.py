"""The service as a process of its own: killed, restarted, stopped, under many clients."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from load import answer, load, request, sent

from moatbench.serving import keys
from moatbench.serving.store import Store

pytestmark = pytest.mark.slow
COMMAND = "from moatbench.cli.serve import main; main()"
SECONDS = float(os.environ.get("MOATBENCH_LOAD_SECONDS", "6"))  # the bar is 60
VICTIM = ("victim=softmax", "data=iris", "data_dir=.", "cache=cache")


@contextmanager
def process(folder: Path, *overrides: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Start the service; give the process and its port."""
    out = folder / "out.txt"
    given = [*VICTIM, "port=0", "admin_port=0", f"state={folder / 'state'}", *overrides]
    with out.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *given],
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        for _ in range(600):
            if "owner's page" in out.read_text():
                break
            assert server.poll() is None, out.read_text()
            time.sleep(0.1)
        found = re.search(r"http://127.0.0.1:(\d+), routes", out.read_text())
        assert found is not None, out.read_text()
        yield server, int(found[1])
    finally:
        server.kill()
        server.wait()


def accounts(folder: Path, n: int) -> list[str]:
    """Make n keys."""
    store = Store(folder / "state")
    try:
        return [keys.create(store, f"client {i}")[1] for i in range(n)]
    finally:
        store.close()


def counted(folder: Path) -> dict[str, int]:
    """Return what each account has been counted for."""
    db = sqlite3.connect(folder / "state" / "state.db")
    try:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        return dict(db.execute("select name, queries from accounts"))
    finally:
        db.close()


def rows(seed: int) -> list[list[float]]:
    return np.random.default_rng(seed).uniform(-1, 1, (200, 4)).tolist()  # type: ignore[no-any-return]


def body(row: list[float]) -> bytes:
    return msgspec.json.encode({"inputs": [row]})


def test_kill_9_under_64_clients_forgets_no_answer(tmp_path: Path) -> None:
    names, answered = accounts(tmp_path, 64), Counter[int]()
    defense = "defense=[prada,rounding]"

    async def one(client: int, server: Any, port: int, enough: int) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for row in rows(client) * 50:
                writer.write(request("/invocations", body(row), names[client]))
                status, _ = await answer(reader)
                assert status in (200, 403)
                answered[client] += 1
                if answered.total() >= enough:
                    server.kill()
        except (OSError, asyncio.IncompleteReadError):
            return  # killed meanwhile

    async def under_fire(server: Any, port: int, enough: int) -> None:
        await asyncio.gather(*(one(client, server, port, enough) for client in range(64)))

    for kills in range(1, 11):
        with process(tmp_path, defense) as (server, port):
            asyncio.run(under_fire(server, port, answered.total() + 150 + 37 * kills))
            assert server.wait(10) == -signal.SIGKILL
        known = counted(tmp_path)
        for client in range(64):  # one request of each is in flight at a kill
            assert 0 <= known[f"client {client}"] - answered[client] <= kills
    _answers_as_one_that_was_not_killed(tmp_path, names[0], defense)


def _answers_as_one_that_was_not_killed(folder: Path, key: str, defense: str) -> None:
    """Kill again, and compare the next 100 answers with those of a process that lived on."""

    async def asked(port: int, seed: int) -> list[tuple[int, bytes]]:
        each = (request("/invocations", body(row), key) for row in rows(seed)[:100])
        return [await sent(port, message) for message in each]

    with process(folder, defense) as (_, port):
        asyncio.run(asked(port, 1000))
        (folder / "twin" / "state").mkdir(parents=True)
        for file in ("secret", "owner_key"):
            (folder / "twin/state" / file).write_text((folder / "state" / file).read_text())
        source = sqlite3.connect(folder / "state/state.db")
        target = sqlite3.connect(folder / "twin/state/state.db")
        source.backup(target)
        source.close()
        target.close()
        lived = asyncio.run(asked(port, 2000))
    with process(folder / "twin", defense) as (_, port):
        assert asyncio.run(asked(port, 2000)) == lived


@pytest.mark.parametrize(
    "defense",
    [
        "none",
        "rounding",
        "quota",
        "modelguard_s",
        "gaussian_noise",
        "proof_of_work",
        "seat",
        "dawn",
        "[prada,rounding]",
        "shuffle",
        "confidence_threshold",
    ],
)
def test_64_clients_get_nothing_but_answers_and_declared_refusals(
    defense: str, tmp_path: Path
) -> None:
    names = accounts(tmp_path, 64)
    messages = [request("/invocations", body(rows(i)[0]), key) for i, key in enumerate(names)]
    with process(tmp_path, f"defense={defense}") as (server, port):
        told = asyncio.run(load(port, messages, 64, SECONDS))
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    assert set(told.statuses) <= {200, 403, 429}
    assert sum(counted(tmp_path).values()) == told.statuses[200] + told.statuses[403]


def test_sigterm_finishes_what_is_under_way_and_ends_with_0(tmp_path: Path) -> None:
    (key,) = accounts(tmp_path, 1)
    message = request("/invocations", body([0.0] * 4), key)
    with process(tmp_path, "defense=rounding", "durable=machine") as (server, port):
        assert asyncio.run(sent(port, message))[0] == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    assert counted(tmp_path) == {"client 0": 1}


def test_what_is_no_http_ends_and_the_service_goes_on(tmp_path: Path) -> None:
    (key,) = accounts(tmp_path, 1)

    async def hostile(port: int) -> None:
        for junk in (
            b"\x00" * 100,
            b"GET\r\n\r\n",
            b"POST /invocations HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(junk)
            assert b"500" not in (await asyncio.wait_for(reader.read(200), 10)).split(b"\r\n")[0]
            writer.close()
        big = b"[" + b"1," * (50 * 2**20)  # 100 MB
        head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer {key}\r\nContent-Length: {len(big)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + big)
        status, _ = await asyncio.wait_for(answer(reader), 30)
        assert status == 413
        writer.close()

    with process(tmp_path, "defense=rounding") as (_, port):
        asyncio.run(hostile(port))
        good = request("/invocations", body([0.0] * 4), key)
        assert asyncio.run(sent(port, good))[0] == 200


def test_schemathesis_finds_no_failure_of_the_service(tmp_path: Path) -> None:
    (key,) = accounts(tmp_path, 1)
    checks = ["not_a_server_error", "status_code_conformance", "content_type_conformance"]
    with process(tmp_path, "defense=rounding") as (_, port):
        command = [str(Path(sys.executable).with_name("schemathesis")), "run"]
        command += [f"http://127.0.0.1:{port}/openapi.json", "--checks", ",".join(checks)]
        command += ["--header", f"Authorization: Bearer {key}", "--max-examples", "40"]
        command += ["--phases", "examples,coverage,fuzzing", "--request-timeout", "10"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]

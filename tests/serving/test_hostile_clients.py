"""Clients that mean harm, or are unlucky: a reason each, and the service goes on."""

import asyncio
import json
import re
import socket
import sqlite3
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from asking import Running, ask, now, running, scope
from services import serving
from shop import defense_of

from moatbench.defense import Defense
from moatbench.serving import front, keys, servers
from moatbench.serving.app import application
from moatbench.serving.deployment import Served
from moatbench.serving.kept import clients
from moatbench.serving.protocols.bodies import Bodies
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.protocols.tensors import Tensors
from moatbench.serving.service import Service
from moatbench.serving.state import State
from moatbench.serving.store import Store
from moatbench.space import InputSpace
from moatbench.traits import Traits
from moatbench.victim import Victim

ROW = [0.1, 0.2, 0.3, 0.4]
NAMES = [f"n{i}" for i in range(50_000)]
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}


class Throttle(Defense):
    """Lets an account wait a moment after each row."""

    traits = Traits({"costs"})

    def wait(self, n: int, account: str) -> float:
        return 0.05 * n


@pytest.fixture
def served(toy: Victim, tmp_path: Path) -> Running:
    return running(toy, defense_of("rounding"), tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_records": [{"\\ud800": 1}]}',
        b'{"dataframe_split": {"columns": ["\\uDBFF", "x1", "x2", "x3"], "data": [[0, 0, 0, 0]]}}',
        b'{"inputs": {"\\udfff": [1]}}',
        b'{"\\ud800": 1}',
    ],
)
def test_half_a_surrogate_pair_is_no_text(served: Running, body: bytes) -> None:
    told = served.ask("/invocations", body)
    assert (told.status, told.json()["type"]) == (400, "/problems/unreadable")
    tensor = json.dumps({"inputs": [TENSOR | {"name": "?"}]}).replace("?", "\\ud800").encode()
    assert served.ask("/v2/models/toy/infer", tensor).status == 400


def test_a_whole_pair_is_text(served: Running) -> None:
    told = served.ask("/invocations", b'{"inputs": {"\\ud83d\\ude00": [1]}}')
    assert (told.status, told.json()["errors"][0]["column"]) == (422, "\U0001f600")


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "data": [[0]]}},
        {"dataframe_records": [{name: 0} for name in NAMES[:5_000]]},
        {"dataframe_records": [dict.fromkeys(NAMES[r : r + 20], 0) for r in range(0, 50_000, 20)]},
        {"inputs": {name: [0] for name in NAMES}},
        dict.fromkeys(NAMES),
    ],
    ids=["columns", "records", "wide records", "by column", "keys"],
)
def test_no_work_grows_with_the_square_of_what_is_wrong(body: Any) -> None:
    bodies, message = Bodies(Columns(InputSpace.box(4)), 10_000), json.dumps(body).encode()
    begun = time.process_time()
    with pytest.raises(Problem) as told:
        bodies.read(message, "application/json")
    assert time.process_time() - begun < 2
    assert told.value.status == 422
    assert len(told.value.faults) <= 10 + 4


def test_rows_without_a_column_are_told_ten_of_them() -> None:
    columns = Columns(InputSpace.box(300))
    some = [{f"x{i}": 0.0 for i in range(300)}, *({} for _ in range(9_999))]
    begun = time.process_time()
    with pytest.raises(Problem, match=r"row 1, column 'x0': is missing in this row") as told:
        columns.records(some)
    assert time.process_time() - begun < 1
    assert len(told.value.faults) == 10


def test_a_short_request_may_not_ask_for_a_long_answer() -> None:
    tensors = Tensors(Columns(InputSpace.box(4)), 10_000, ["predict", "predict_proba"])
    asked = {"inputs": [TENSOR], "outputs": [{"name": "predict"}] * 3}
    with pytest.raises(Problem, match="outputs must have each name once"):
        tensors.read(json.dumps(asked).encode(), "application/json")


@pytest.mark.parametrize(
    "sent",
    [
        [("authorization", "Bearer {key}"), ("authorization", "Bearer other")],
        [("authorization", "Bearer other"), ("authorization", "Bearer {key}")],
        [("authorization", "Bearer {key}"), ("x-api-key", "other")],
        [("authorization", "Basic e"), ("x-api-key", "{key}")],
    ],
)
def test_who_sends_two_keys_has_none(served: Running, sent: list[tuple[str, str]]) -> None:
    asked = scope("POST", "/invocations", {})
    asked["headers"] += [(n.encode(), v.format(key=served.key).encode()) for n, v in sent]
    assert _answer(served, asked, {"inputs": [ROW]}).status == 401
    asked["headers"][-2:] = [(b"x-api-key", served.key.encode())] * 2
    assert _answer(served, asked, {"inputs": [ROW]}).status == 200


def test_a_shard_answers_its_own_keys_alone(toy: Victim, tmp_path: Path) -> None:
    state = State(tmp_path)
    made = [keys.create(state.store, name, shard=name)[1] for name in ("a", "b")]
    plain = keys.create(state.store, "plain")[1]
    service = Service(Served(toy, Defense(), np.random.default_rng(0)), state.store, shard="a")
    app = application(service, Columns(service.card.space))

    def status(key: str) -> int:
        headers = {"authorization": f"Bearer {key}"}
        return now(ask(app, "/invocations", {"inputs": [ROW]}, headers)).status

    assert [status(key) for key in (*made, plain)] == [200, 421, 421]
    assert [status(key) for key in ("", "mb_a.wrong", "wrong", "mb_b.wrong")] == [401] * 3 + [421]
    assert [made[0][:5], keys.shard_of(plain.encode())] == ["mb_a.", ""]
    with pytest.raises(ValueError, match=r"shard must be 1 to 20 of a-z, 0-9 and -, got 'A\.b'"):
        keys.create(state.store, "c", shard="A.b")
    state.close()


def test_no_shard_where_accounts_are_compared(toy: Victim, tmp_path: Path) -> None:
    class Shared(Defense):
        traits = Traits({"watches"}, shared=True)

    store = Store(None)
    with pytest.raises(ValueError, match="shard= suits defenses that treat accounts apart, got Sh"):
        Service(Served(toy, Shared(), np.random.default_rng(0)), store, shard="a")
    store.close()


def test_packed_bodies_are_415(served: Running) -> None:
    told = served.rows([ROW], content_encoding="gzip")
    assert (told.status, "content-encoding" in told.json()["detail"]) == (415, True)
    assert served.rows([ROW], content_encoding="identity").status == 200


def test_two_idempotency_keys_are_refused(served: Running) -> None:
    asked = scope("POST", "/invocations", {"authorization": f"Bearer {served.key}"})
    asked["headers"] += [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    assert _answer(served, asked, {"inputs": [ROW]}).status == 400
    assert served.ask("/usage").json()["queries"] == 0


def test_an_idempotency_key_is_of_one_account_and_one_route(
    served: Running, tmp_path: Path
) -> None:
    _, other = keys.create(served.state.store, "bob")
    bob = {"authorization": f"Bearer {other}", "idempotency-key": "a"}
    assert served.rows([ROW], idempotency_key="a").status == 200
    assert now(ask(served.app, "/invocations", {"inputs": [ROW, ROW]}, bob)).status == 200
    infer = served.ask("/v2/models/toy/infer", {"inputs": [TENSOR]}, idempotency_key="a")
    assert infer.status == 409
    assert served.ask("/usage").json()["queries"] == 1


def test_what_was_answered_with_no_rows_may_be_sent_again_under_its_key(served: Running) -> None:
    assert served.rows([[9.0] * 4], idempotency_key="a").status == 422
    assert served.rows([ROW], idempotency_key="a").status == 200


def test_no_request_is_smuggled_behind_another(served: Running) -> None:
    body = json.dumps({"inputs": [ROW]}).encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    size = f"Content-Length: {len(body)}\r\n"
    hidden = b"POST /invocations HTTP/1.1\r\n\r\n"
    heads = [
        (size + "Transfer-Encoding: chunked\r\n", chunks + hidden),
        (size + "Content-Length: 5\r\n", body),
        (f"Content-Length: +{len(body)}\r\n", body),
        ("Content-Length: -1\r\n", body),
        ("Transfer-Encoding: xchunked\r\n", chunks),
        ("Transfer-Encoding: chunked\r\n", b"zz\r\n" + body),
        (f"Content-Length : {len(body)}\r\n", body),
        (size + "X: a\r\n b\r\n", body),
        (size + "X: a\0b\r\n", body),
    ]

    def statuses(port: int, head: str, sent: bytes) -> list[bytes]:
        first = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        first += f"Authorization: Bearer {served.key}\r\nConnection: close\r\n{head}\r\n"
        with socket.create_connection(("127.0.0.1", port), 10) as to:
            to.sendall(first.encode() + sent)
            told = b"".join(iter(lambda: to.recv(65536), b""))
        return re.findall(rb"^HTTP/1.1 (\d+)", told, re.MULTILINE)

    with serving(served.app) as url:
        port = int(url.rpartition(":")[2])
        assert statuses(port, size, body) == [b"200"]
        assert [statuses(port, head, sent) for head, sent in heads] == [[b"400"]] * len(heads)
    assert served.state.store.accounts()[0].queries == 1


def test_a_body_that_comes_too_slowly_is_408(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "PATIENCE", 0.05)
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Any:
        if not parts:
            await asyncio.sleep(10)
        return parts.pop()

    told = _answer(served, _asked(served), None, receive)
    assert (told.status, told.json()["type"]) == (408, "/problems/slow")
    assert served.rows([ROW]).status == 200


def test_a_key_that_is_revoked_while_a_body_comes_slowly_is_401(
    served: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "SLOW", 0.0)
    other = Store(tmp_path)

    async def receive() -> Any:
        keys.revoke(other, "alice")
        return {"type": "http.request", "body": json.dumps({"inputs": [ROW]}).encode()}

    told = _answer(served, _asked(served), None, receive)
    other.close()
    assert told.status == 401
    assert served.service.clients[1].queries == 0


def test_what_is_under_way_when_a_key_is_revoked_is_answered_and_counted(
    served: Running, tmp_path: Path
) -> None:
    async def both() -> list[Any]:
        headers = {"authorization": f"Bearer {served.key}"}
        first = asyncio.create_task(ask(served.app, "/invocations", {"inputs": [ROW]}, headers))
        await asyncio.sleep(0)
        other = Store(tmp_path)
        keys.revoke(other, "alice")
        other.close()
        return [await first, await ask(served.app, "/invocations", {"inputs": [ROW]}, headers)]

    assert [told.status for told in now(both())] == [200, 401]
    assert served.state.store.accounts()[0].queries == 1


def test_requests_that_waited_together_share_what_is_left_of_a_budget(
    toy: Victim, tmp_path: Path
) -> None:
    served = running(toy, Throttle(), tmp_path, budget=3)

    async def several() -> list[int]:
        headers = {"authorization": f"Bearer {served.key}"}
        await ask(served.app, "/invocations", {"inputs": [ROW]}, headers)
        each = [ask(served.app, "/invocations", {"inputs": [ROW]}, headers) for _ in range(6)]
        return [told.status for told in await asyncio.gather(*each)]

    for seconds in (0.0, 1.0):  # on the event loop; and as if the model were slow, in its thread
        served.service._seconds = seconds
        statuses = now(several())
        assert set(statuses) <= {200, 402}
    assert served.ask("/usage").json()["queries"] == 3


@pytest.mark.parametrize("hours", [-5, 5])
def test_no_wait_grows_or_ends_when_the_clock_is_set(
    hours: int, toy: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, real = running(toy, Throttle(), tmp_path), time.time
    served.rows([ROW] * 100)
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    told = served.rows([ROW])
    assert (told.status, told.headers["retry-after"]) == (429, "5")
    served.service.clients[1].waits_until = clients.steady()
    assert served.rows([ROW]).status == 200


def test_a_full_disk_is_500_bills_nobody_and_is_over_when_there_is_room(
    toy: Victim, tmp_path: Path
) -> None:
    served = running(toy, defense_of("prada"), tmp_path, budget=10_000)
    store, rows = served.state.store, np.full((500, 4), 0.1)
    assert served.rows(rows[:1]).status == 200
    pages = store.db.execute("pragma page_count").fetchone()[0]
    store.db.execute(f"pragma max_page_count = {pages}")
    told = served.rows(rows, idempotency_key="a")
    assert (told.status, b"predictions" in told.body) == (500, False)
    assert served.ask("/usage").json()["left"] == 9_999
    store.db.execute("pragma max_page_count = 1000000")
    assert served.rows(rows, idempotency_key="a").status == 200
    assert store.accounts()[0].queries == 501


def test_a_commit_that_fails_leaves_no_transaction_behind(toy: Victim, tmp_path: Path) -> None:
    served = running(toy, defense_of("prada"), tmp_path)
    real = served.state.store.db

    class Failing:
        """The database, whose next commit fails."""

        failed = False

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "commit" and not self.failed:
                self.failed = True
                raise sqlite3.OperationalError("disk I/O error")
            return real.execute(statement, *values)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    served.state.store.db = Failing()  # type: ignore[assignment]
    assert [served.rows([ROW]).status for _ in range(2)] == [500, 200]
    assert served.state.store.accounts()[0].queries == 1
    served.state.store.db = real


def test_connections_that_stall_are_ended_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LOOK", 0.001)
    ended: list[str] = []

    def connection(name: str, *, started: bool | None, more: bool = False) -> Any:
        known = SimpleNamespace(response_started=started, more_body=more)
        cycle = None if started is None else known
        transport = SimpleNamespace(abort=lambda: ended.append(name))
        return type("Connection", (), {"cycle": cycle, "transport": transport})()

    held = {
        connection("a head without end", started=None),
        connection("an answer that nobody reads", started=True),
        connection("we are at work", started=False),
        connection("a body that does not come", started=False, more=True),
        busy := connection("asks and asks", started=True),
    }
    server: Any = SimpleNamespace(server_state=SimpleNamespace(connections=held))

    async def some_looks() -> None:
        watching = asyncio.create_task(servers.hang_up([server]))
        while "a body that does not come" not in ended:
            busy.cycle = SimpleNamespace(response_started=True, more_body=False)
            await asyncio.sleep(0)
        watching.cancel()

    now(some_looks())
    assert set(ended) == {
        "a head without end",
        "an answer that nobody reads",
        "a body that does not come",
    }


def _asked(served: Running) -> dict[str, Any]:
    return scope("POST", "/invocations", {"authorization": f"Bearer {served.key}"})


def _answer(served: Running, asked: dict[str, Any], body: Any, receive: Any = None) -> Any:
    """Send a request as it is."""

    async def once() -> Any:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    now(served.app(asked, receive or once, send))

    class Told:
        status = sent[0]["status"]
        body = sent[1]["body"]

        def json(self) -> Any:
            return json.loads(self.body)

    return Told()


def test_a_log_that_nobody_reads_is_told_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    async def some_lines() -> None:
        lines = servers.Lines()
        for _ in range(3):
            lines.add("{}")
            lines.flush()

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=gone, flush=lambda: None))
    asyncio.run(some_lines())
    assert [one.getMessage() for one in caplog.records] == [
        "requests are not logged, as stdout takes no lines ([Errno 32] Broken pipe)"
    ]

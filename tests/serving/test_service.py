"""A served defense: accounts, budgets, waits, refusals, repeats; in process, by ASGI."""

import asyncio
import json
import logging
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Running, ask, now, running, scope
from shop import defense_of

from moatbench.defense import Defense
from moatbench.reply import Reply
from moatbench.serving import keys
from moatbench.serving.deployment import Served
from moatbench.serving.front import Limits
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.store import Store
from moatbench.space import InputSpace, Numeric
from moatbench.traits import Traits
from moatbench.types import Array, Mask
from moatbench.victim import Victim

ROW = [0.1, 0.2, 0.3, 0.4]


class Half(Defense):
    """Refuses rows whose first number is below 0."""

    traits = Traits({"refuses"})

    def admit(self, x: Array, account: str) -> Mask:
        return np.asarray(x[:, 0] >= 0)


class Slow(Defense):
    """Lets an account wait, and says so."""

    traits = Traits({"costs"})

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self, n: int, account: str) -> float:
        return self.seconds * n


class Broken(Defense):
    """Fails on every request, with the client's data in its message."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        raise RuntimeError(f"secret {x}")


@pytest.fixture
def served(toy: Victim, tmp_path: Path) -> Running:
    return running(toy, defense_of("rounding"), tmp_path)


def test_both_protocols_tell_what_the_deployment_answers_bit_for_bit(
    toy: Victim, tmp_path: Path
) -> None:
    served, x = running(toy, Defense(), tmp_path), toy.space.sample(50, np.random.default_rng(0))
    direct = Served(toy, Defense(), np.random.default_rng(0)).answer(x, "alice")
    told = served.rows(x).json()
    assert np.array(told["predictions"]).tobytes() == np.asarray(direct.outputs).tobytes()
    assert told["labels"] == [toy.classes[label] for label in direct.labels]
    tensor = {"name": "x", "shape": [50, 4], "datatype": "FP64", "data": x.tolist()}
    v2 = served.ask("/v2/models/toy/infer", {"inputs": [tensor], "id": "7"}).json()
    labels, outputs = v2["outputs"]
    assert (v2["id"], labels["name"], outputs["name"]) == ("7", "predict", "predict_proba")
    assert np.array(outputs["data"]).reshape(outputs["shape"]).tolist() == told["predictions"]
    assert labels["data"] == told["labels"]


def test_labels_alone_are_the_predictions_where_the_api_tells_no_more(
    toy: Victim, tmp_path: Path
) -> None:
    served = running(toy, defense_of("label_only"), tmp_path)
    told = served.rows([ROW]).json()
    assert told["predictions"][0] in toy.classes
    assert [o["name"] for o in served.ask("/v2/models/toy").json()["outputs"]] == ["predict"]


def test_no_key_a_wrong_one_and_a_revoked_one_get_one_body(served: Running) -> None:
    _, gone = keys.create(served.state.store, "bob")
    keys.revoke(served.state.store, "bob")
    bodies = set()
    for headers in (
        {},
        {"authorization": "Bearer no"},
        {"x-api-key": gone},
        {"authorization": "x"},
    ):
        told = now(ask(served.app, "/invocations", {"inputs": [ROW]}, headers))
        assert (told.status, told.headers["www-authenticate"]) == (401, "Bearer")
        bodies.add(told.body)
    assert len(bodies) == 1
    assert served.service.clients.of(served.key.encode()).queries == 0


def test_a_key_is_asked_for_before_the_body_is_read(served: Running) -> None:
    async def unread() -> Any:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    now(served.app(scope("POST", "/invocations", {}), unread, send))
    assert sent[0]["status"] == 401


def test_a_key_made_or_revoked_elsewhere_counts_at_once(served: Running, tmp_path: Path) -> None:
    other = Store(tmp_path)
    _, key = keys.create(other, "bob", 5)
    headers = {"authorization": f"Bearer {key}"}
    assert now(ask(served.app, "/invocations", {"inputs": [ROW]}, headers)).status == 200
    keys.revoke(other, "bob")
    assert now(ask(served.app, "/invocations", {"inputs": [ROW]}, headers)).status == 401


def test_keys_are_kept_as_hashes_and_the_defense_sees_random_tokens(
    served: Running, tmp_path: Path
) -> None:
    served.rows([ROW])
    held = b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))
    assert served.key.encode() not in held
    (account,) = served.state.store.accounts()
    assert account.digest == keys.digest(served.key.encode())
    assert len(account.token) == 16
    assert "alice" not in account.token


def test_a_spent_budget_is_402_and_nothing_is_asked(toy: Victim, tmp_path: Path) -> None:
    served = running(toy, Defense(), tmp_path, budget=3)
    told = served.rows([ROW, ROW])
    assert told.headers["ratelimit"] == '"budget";r=1'
    assert served.rows([ROW, ROW]).status == 402
    assert served.rows([ROW]).status == 200
    over = served.rows([ROW])
    assert (over.status, "retry-after" in over.headers) == (402, False)
    assert served.ask("/usage").json()["queries"] == 3


def test_refused_rows_are_null_and_named_and_counted(toy: Victim, tmp_path: Path) -> None:
    served, no = running(toy, Half(), tmp_path), [-0.5, 0, 0, 0]
    told = served.rows([ROW, no, ROW]).json()
    assert told["predictions"][1] is None
    assert told["labels"][1] is None
    assert (told["refused"], len(told["predictions"][0])) == ([1], 3)
    none = served.rows([no, no])
    assert (none.status, none.json()["type"]) == (403, "/problems/refused")
    assert none.json()["error_code"] == "PERMISSION_DENIED"
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": no}
    assert "error" in served.ask("/v2/models/toy/infer", {"inputs": [tensor]}).json()
    usage = served.ask("/usage").json()
    assert (usage["queries"], usage["refused"]) == (6, 4)


def test_a_label_without_confidences_is_a_row_of_nulls(toy: Victim, tmp_path: Path) -> None:
    served = running(
        toy,
        defense_of("confidence_threshold", *["defense.confidence_threshold.threshold=1.0"]),
        tmp_path,
    )
    told = served.rows([ROW]).json()
    assert told["predictions"] == [[None, None, None]]
    assert told["labels"][0] in toy.classes
    assert "refused" not in told


def test_an_account_waits_up_to_a_second_in_the_server_and_then_is_429(
    toy: Victim, tmp_path: Path
) -> None:
    served = running(toy, Slow(0.05), tmp_path)
    begun = time.monotonic()
    assert [served.rows([ROW]).status for _ in range(3)] == [200] * 3
    assert time.monotonic() - begun >= 0.1
    served.rows([ROW] * 100)
    told = served.rows([ROW])
    assert (told.status, told.headers["retry-after"]) == (429, "5")
    assert served.ask("/usage").json()["queries"] == 103


def test_a_retry_with_its_idempotency_key_is_the_same_answer_and_is_billed_once(
    served: Running, toy: Victim
) -> None:
    first = served.rows([ROW], idempotency_key="a")
    again = served.rows([ROW], idempotency_key="a")
    assert first.body == again.body
    assert served.ask("/usage").json()["queries"] == 1
    assert served.rows([ROW, ROW], idempotency_key="a").status == 409
    assert served.rows([ROW], idempotency_key="b").status == 200
    assert served.ask("/usage").json()["queries"] == 2


def test_retries_that_arrive_together_are_one_query(served: Running) -> None:
    async def several() -> list[Any]:
        headers = {"authorization": f"Bearer {served.key}", "idempotency-key": "a"}
        each = [ask(served.app, "/invocations", {"inputs": [ROW]}, headers) for _ in range(8)]
        return await asyncio.gather(*each)

    assert len({told.body for told in now(several())}) == 1
    assert served.ask("/usage").json()["queries"] == 1


def test_a_body_above_the_limit_is_413_however_long_it_said_to_be(
    toy: Victim, tmp_path: Path
) -> None:
    served = running(toy, Defense(), tmp_path, limits=Limits(body=200, rows=3))
    many, headers = {"inputs": [ROW] * 30}, {"authorization": f"Bearer {served.key}"}
    for parts, length in ((1, {}), (5, {}), (1, {"content-length": "999"})):
        told = now(ask(served.app, "/invocations", many, headers | length, parts=parts))
        assert (told.status, "retry-after" in told.headers) == (413, False)
    assert served.rows([ROW] * 4).status == 413
    assert now(ask(served.app, "/invocations", {"inputs": [ROW]}, headers, parts=9)).status == 200


def test_a_failure_is_told_without_a_traceback_or_the_data(
    toy: Victim, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = running(toy, Broken(), tmp_path).rows([ROW])
    assert told.status == 500
    assert b"secret" not in told.body
    assert b"Traceback" not in told.body
    assert "a request failed" in caplog.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ping", 200),
        ("/health", 200),
        ("/version", 200),
        ("/v2", 200),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        ("/v2/models/toy", 200),
        ("/v2/models/toy/ready", 200),
        ("/v2/models/other", 404),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/card", 200),
        ("/metrics", 404),
        ("/invocations", 405),
        ("/nothing", 404),
    ],
)
def test_each_route_is_there_or_says_that_it_is_not(
    served: Running, path: str, status: int
) -> None:
    told = now(ask(served.app, path))
    assert told.status == status
    if status >= 400:
        assert told.headers["content-type"] == "application/problem+json"


def test_another_model_is_404_in_its_protocol(served: Running) -> None:
    told = served.ask("/v2/models/other/infer", {"inputs": []})
    assert (told.status, "error" in told.json()) == (404, True)


def test_the_card_tells_what_a_client_of_a_run_knows(served: Running, toy: Victim) -> None:
    card = now(ask(served.app, "/card")).json()
    assert (card["classes"], card["family"], card["partial"]) == (
        list(toy.classes),
        "softmax",
        False,
    )
    assert [feature["name"] for feature in card["features"]] == ["x0", "x1", "x2", "x3"]


def test_one_json_line_a_request_tells_neither_key_nor_input(
    served: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "moatbench.access"):
        served.rows([[0.123456, 0, 0, 0]])
        served.ask("/ping")
    lines = [record.getMessage() for record in caplog.records if record.name == "moatbench.access"]
    assert [json.loads(line)["path"] for line in lines] == ["/invocations", "/ping"]
    assert json.loads(lines[0])["account"] == 1
    assert not any("0.123456" in line or served.key in line for line in lines)


def test_a_stopped_service_is_503_for_what_comes_late(served: Running) -> None:
    now(served.service.drain())
    told = served.rows([ROW])
    assert (told.status, told.headers["retry-after"]) == (503, "1")
    assert served.ask("/v2/health/ready").status == 503


def test_concurrent_clients_get_what_a_serial_run_gives(toy: Victim, tmp_path: Path) -> None:
    x = toy.space.sample(200, np.random.default_rng(1))
    answers = []
    for seconds in (0.0, 1.0):  # on the event loop; and as if the model were slow, in its thread
        served = running(toy, defense_of("modelguard_s"), tmp_path / str(seconds))
        served.service._seconds = seconds
        headers = {"authorization": f"Bearer {served.key}"}

        async def clients(app: Any = served.app, headers: Any = headers) -> list[Any]:
            return await asyncio.gather(
                *(ask(app, "/invocations", {"inputs": [row.tolist()]}, headers) for row in x)
            )

        answers.append([told.json()["predictions"][0] for told in now(clients())])
    direct = Served(toy, defense_of("modelguard_s"), np.random.default_rng(0))
    serial = [np.asarray(direct.answer(row[None], "a").outputs)[0].tolist() for row in x]
    assert answers[0] == serial
    assert answers[1] == serial


def test_a_number_off_its_step_is_told(toy: Victim, tmp_path: Path) -> None:
    space = InputSpace(tuple(Numeric(f"x{i}", -1, 1, 0.5) for i in range(4)))
    victim = replace(toy, shares=replace(toy.shares, space=space))
    told = running(victim, Defense(), tmp_path).rows([[0.5, 0, 0, 0], [0.4, 0, 0, 0]]).json()
    assert told["rounded"] == [1]
    assert told["predictions"][0] == told["predictions"][1]


def test_partial_rows_are_answered_where_model_and_defense_take_them(
    toy: Victim, tmp_path: Path
) -> None:
    def predict(x: Array) -> Reply:
        return toy.predict(np.nan_to_num(x))

    victim = replace(toy, predict=predict, partial=True)
    whole = running(victim, Defense(), tmp_path / "a")
    body = {"inputs": [[None, 0.2, 0.3, 0.4]]}
    assert whole.ask("/invocations", body).status == 200
    assert (
        running(victim, defense_of("refuse_partial"), tmp_path / "b")
        .ask("/invocations", body)
        .status
        == 422
    )


@pytest.mark.slow
def test_wrong_absent_and_revoked_keys_take_as_long(served: Running) -> None:
    _, gone = keys.create(served.state.store, "bob")
    keys.revoke(served.state.store, "bob")
    kinds = [
        {},
        {"authorization": f"Bearer {'x' * len(gone)}"},
        {"authorization": f"Bearer {gone}"},
    ]

    async def timed() -> list[list[float]]:
        times: list[list[float]] = [[] for _ in kinds]
        for _ in range(2000):
            for place, headers in enumerate(kinds):
                begun = time.perf_counter()
                await ask(served.app, "/invocations", b"{}", headers)
                times[place].append(time.perf_counter() - begun)
        return times

    times = now(timed())
    middles = [statistics.median(one) for one in times]
    quarters = [statistics.quantiles(one, n=4) for one in times]
    assert max(middles) - min(middles) < min(q[2] - q[0] for q in quarters)


def test_columns_of_the_owner_are_taken_by_name(toy: Victim, tmp_path: Path) -> None:
    columns = Columns(toy.space, constants={"year": 1994.0}, order=("year", "x0", "x1", "x2", "x3"))
    served = running(toy, Defense(), tmp_path, columns=columns)
    assert served.rows([[1994, *ROW]]).body == served.rows([ROW]).body

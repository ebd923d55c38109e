"""Services that are broken, or mean harm: an end with a reason, soon, and no traceback."""

import gzip
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from services import answering, thirds

from moatbench.data import Dataset
from moatbench.remote import client as posting
from moatbench.remote.client import Stopped, _seconds
from moatbench.remote.endpoint import Endpoint
from moatbench.remote.mapping import Mapped, Unreadable
from moatbench.remote.reading import Reading
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.remote import http

IRIS = bundled("iris")
HUGE = 10**400  # as JSON may hold it, and no float
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def victim_at(url: str, data: Dataset = IRIS, **knobs: Any) -> Victim:
    knobs = {"family": "softmax", "tries": 2} | knobs
    made: Victim = http(data, np.random.default_rng(0), url, **knobs)
    assert isinstance(made.predict, Endpoint)
    made.predict.client.sleep = lambda _: None
    return made


def asked(victim: Victim) -> str:
    """Ask three new rows; return why there is no answer."""
    with pytest.raises(Stopped) as ended:
        victim.predict(victim.space.sample(3, np.random.default_rng(9)))
    return str(ended.value)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"predictions": [[0.1, 0.2, 0.7]] * 2}, "3 predictions were expected, got 2"),
        ({"predictions": [[0.1, 0.9]] * 3}, "another form than before"),
        ({"predictions": [[0.1, 0.2, 0.7], [0.1, 0.9], [1.0, 0, 0]]}, "another form than before"),
        ({"predictions": [[math.nan] * 3] * 3}, "must be probabilities"),
        ({"predictions": [[math.inf, -math.inf, 1]] * 3}, "must be probabilities"),
        ({"predictions": [[HUGE, 0, 0]] * 3}, "another form than before"),
        ({"predictions": [[-1, 1, 1]] * 3}, "must be probabilities"),
        ({"predictions": [[0.1, 0.2, 0.7]] * 2 + [None]}, "some rows were refused"),
        ({"predictions": ["setosa"] * 3}, "another form than before"),
        ({"predictions": {"0": 1}}, "3 predictions were expected, got dict"),
        ({"predictions": [{"a": 1}] * 3}, "another form than before"),
        ({"predictions": [[], [], []]}, "another form than before"),
        ({"predictions": [[[0.1, 0.2, 0.7]]] * 3}, "another form than before"),
        (
            {"predictions": [[0.1, 0.2, 0.7]] * 3, "fields": [["no such"]] * 3},
            "another form than before",
        ),
        ({"predictions": [[0.1, 0.2, 0.7]] * 3, "fields": [1, 2, 3]}, "another form than before"),
        ({"error": "no"}, "changed its schema"),
        ([], "3 predictions were expected, got 0"),
        ("text", "changed its schema"),
        (None, "changed its schema"),
        (7, "changed its schema"),
        (b"", "must answer JSON, got ''"),
        (b"<html>", "must answer JSON, got '<html>'"),
        (b"[" * 100_000, "must answer JSON"),
        (b'{"predictions": [' + b"9" * 5000 + b"]}", "must answer JSON"),
        (b"\xff\xfe\x00", "must answer JSON"),
    ],
)
def test_an_answer_that_turns_odd_ends_it_with_a_reason(told: Any, says: str) -> None:
    odd = False

    def answer(body: Any) -> Any:
        return (200, told) if odd else thirds(body)

    with answering(answer) as (url, _):
        victim = victim_at(url)
        odd = True
        assert says in asked(victim)


def test_an_answer_may_be_created_and_begin_with_a_mark_of_its_encoding() -> None:
    def answer(body: Any) -> Any:
        return 201, b"\xef\xbb\xbf" + json.dumps(thirds(body)[1]).encode()

    with answering(answer) as (url, _):
        victim = victim_at(url)
        assert victim.predict(victim.shares.pool[:3]).outputs is not None


@pytest.mark.parametrize("told", [[HUGE] * 3, [{"a": 1}, [], "b"], [[1], {}, 0], [{"a": {}}] * 3])
def test_a_first_answer_that_is_odd_is_told(told: list[Any]) -> None:
    read = Mapped("mlflow").read({"predictions": told}, 3)
    with pytest.raises(ValueError, match="must"):
        Reading.of(read, ("a", "b", "c"))


def test_tensors_of_no_size_are_unreadable() -> None:
    tensor = {"name": "predict_proba", "shape": [3, 2], "data": [0.5] * 6}
    reading = Reading.of(Mapped("v2").read({"outputs": [tensor]}, 3), ("a", "b"))
    for shape in ([3, math.inf], [3, math.nan], [3, HUGE], ["a", "b"], [3, 0], 3, [], None):
        with pytest.raises(Unreadable):
            reading.reply(Mapped("v2").read({"outputs": [tensor | {"shape": shape}]}, 3))


@pytest.mark.parametrize(("shape", "size"), [([3, 2], 4), ([2, 3], 6), ([3, 2], 8), ([3, 5], 6)])
def test_a_tensor_of_another_size_than_it_says_is_told(shape: list[int], size: int) -> None:
    tensor = {"name": "predict_proba", "shape": shape, "data": [0.5] * size}
    with pytest.raises(Unreadable, match=rf"3 rows of {shape[1]} numbers .* got {size}"):
        Mapped("v2").read({"outputs": [tensor]}, 3)


@pytest.mark.parametrize("told", [[0, 1], [1.0, 0.0], [[1], [0]], [[0.5, 0.25, 0.25]] * 2])
def test_probabilities_that_become_labels_are_another_form(told: list[Any]) -> None:
    mapped = Mapped("mlflow")
    reading = Reading.of(mapped.read({"predictions": [[0.5, 0.5]] * 2}, 2), ("a", "b"))
    with pytest.raises(Unreadable, match=r"another form than before \(a row of . in place of 2\)"):
        reading.reply(mapped.read({"predictions": told}, 2))


def test_what_a_defended_service_says_of_tested_fields_may_be_odd() -> None:
    mapped = Mapped("mlflow", refusals=True)
    plain = {"predictions": [[0.5, 0.5]] * 2}
    reading = Reading.of(mapped.read(plain, 2), ("a", "b"))
    reading = replace(reading, names=("x",))
    with pytest.raises(Unreadable, match="another form"):
        reading.some(mapped.read(plain | {"fields": [[1], ["x"]]}, 2))


@pytest.mark.parametrize(
    "told", ["inf", "1e999", "nan", "-7", "soon", "Fri, 31 Dec 99999 23:59:59 GMT", "٣", ""]
)
def test_retry_after_may_be_any_text(told: str) -> None:
    assert (seconds := _seconds(told)) is None or seconds >= 0
    assert _seconds("Mon, 01 Jan 0001 00:00:00 +9999") is None


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (429, {"Retry-After": "1e999"}, "asks to wait inf s, and victim.most_wait is 60"),
        (429, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, "asks to wait 2516"),
        (429, {"Retry-After": "0"}, "asked to wait 30 times in a row"),
        (503, {}, "was busy 30 times in a row"),
        (500, {}, "the service answered 500"),
        (408, {}, "the service answered 408"),
        (301, {"Location": "http://192.0.2.1/"}, "no redirect is followed"),
        (307, {"Location": "//evil.example/invocations"}, "no redirect is followed"),
        (200, {"Content-Encoding": "gzip"}, "packs its answers by 'gzip'"),
        (204, {}, "the service answered 204"),
        (418, {}, "the service answered 418"),
    ],
)
def test_a_status_that_turns_odd_ends_it_with_a_reason(
    status: int, headers: dict[str, str], says: str
) -> None:
    odd = False

    def answer(body: Any) -> Any:
        packed = gzip.compress(b" " * 10**6) if status == 200 else b""
        return (status, packed, headers) if odd else thirds(body)

    with answering(answer) as (url, _):
        victim = victim_at(url)
        odd = True
        assert says in asked(victim)


def flood(part: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    """Send a part again and again."""

    def reply(to: socket.socket) -> None:
        while True:
            to.sendall(part)
            time.sleep(pause)

    return reply


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "too slowly, see victim.timeout"),
        (lambda to: flood(b"a", 0.02)(to), "does not answer"),
        (lambda to: (to.sendall(PLAIN), flood(b"X: y\r\n", 0.02)(to)), "does not answer"),
        (
            lambda to: (to.sendall(PLAIN + b"Content-Length: 999\r\n\r\n"), flood(b" ", 0.02)(to)),
            "does not answer",
        ),
        (
            lambda to: (to.sendall(PLAIN + b"\r\n"), flood(b" " * 2**16)(to)),
            "more than 1 MiB to one request",
        ),
        (
            lambda to: (
                to.sendall(PLAIN + b"Transfer-Encoding: chunked\r\n\r\n"),
                flood(b"10000\r\n" + b" " * 2**16 + b"\r\n")(to),
            ),
            "more than 1 MiB to one request",
        ),
        (lambda to: flood(PLAIN[:17] + b"X: " + b"y" * 70_000)(to), "does not answer"),
        (lambda to: flood(PLAIN[:17] + b"X: y\r\n" * 200)(to), "does not answer"),
        (lambda to: to.sendall(PLAIN + b"Content-Length: 99\r\n\r\n{"), "does not answer"),
        (lambda to: to.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"), "does not answer"),
        (lambda to: None, "does not answer"),
    ],
    ids=[
        "continue for ever",
        "a drop of a status line",
        "a drop of a head",
        "a drop of a body",
        "an endless body",
        "endless chunks",
        "a long header",
        "many headers",
        "cut off",
        "no HTTP",
        "hung up",
    ],
)
def test_what_never_ends_is_ended(
    reply: Callable[[socket.socket], Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "MOST_BYTES", 2**20)
    with raw(reply) as (url, turn):
        victim = victim_at(url, timeout=10.0)
        victim.predict.client.timeout = 0.3  # type: ignore[attr-defined]
        turn.set()
        begun = time.monotonic()
        assert says in asked(victim)
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("order", [lambda told: told[::-1], sorted], ids=["reversed", "sorted"])
def test_who_answers_in_an_order_of_its_own_is_found_out(
    order: Callable[[list[Any]], list[Any]],
) -> None:
    def answer(body: Any) -> Any:
        return 200, {"predictions": order(thirds(body)[1]["predictions"])}

    with (
        answering(answer) as (url, _),
        pytest.raises(ValueError, match=r"alike each time, whatever the order of rows, got .* by"),
    ):
        victim_at(url)


def test_a_connection_that_is_closed_while_idle_is_made_anew_at_once() -> None:
    told = json.dumps(thirds({"dataframe_split": {"data": [[5.0]] * 3}})[1]).encode()
    answer = PLAIN + f"Content-Length: {len(told)}\r\n\r\n".encode() + told
    with raw(lambda to: to.sendall(answer)) as (url, turn):
        victim, slept = victim_at(url, tries=1), list[float]()
        victim.predict.client.sleep = slept.append  # type: ignore[attr-defined]
        turn.set()
        for seed in range(3):
            victim.predict(victim.space.sample(3, np.random.default_rng(seed)))
        assert slept == []


def test_a_key_in_an_answer_that_is_not_understood_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    odd: list[Any] = []
    with answering(lambda body: odd[0] if odd else thirds(body)) as (url, _):
        for answer in (
            (200, {"you": "s3cret"}),
            (200, b"s3cret"),
            (302, b"", {"Location": "http://127.0.0.1/?key=s3cret"}),
        ):
            odd.clear()
            victim = victim_at(url, key_env="KEY")
            odd.append(answer)
            why = asked(victim)
            assert "s3cret" not in why
            assert "..." in why


@contextmanager
def raw(reply: Callable[[socket.socket], Any]) -> Iterator[tuple[str, threading.Event]]:
    """Serve iris; once the event is set, send whatever a function sends, and hang up."""
    turn, server = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def one(to: socket.socket) -> None:
        with suppress(OSError), to, to.makefile("rb") as given:
            while line := given.readline():
                size = 0
                while line.strip():
                    name, _, value = line.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                    line = given.readline()
                body = json.loads(given.read(size))
                if turn.is_set():
                    reply(to)
                    return
                told = json.dumps(thirds(body)[1]).encode()
                to.sendall(PLAIN + f"Content-Length: {len(told)}\r\n\r\n".encode() + told)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", turn
    finally:
        server.close()

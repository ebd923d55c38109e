"""The application behind a defense: its rows written as it takes them, its answers read."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from moatbench.reply import Reply, from_outputs
from moatbench.serving.front import ASGI
from moatbench.serving.protocols.columns import values
from moatbench.serving.protocols.problems import Problem
from moatbench.space import Categorical, InputSpace
from moatbench.types import Array

PROTOCOLS = ("mlflow", "v2")
FORMS = ("dataframe_split", "inputs")  # of MLflow's; the first that is answered
PATIENCE = 60.0  # seconds


class Inner:
    """Asks an ASGI application for predictions, from another thread than its loop's.

    Args:
        app: the application.
        space: of the rows.
        protocol: in which it is asked.
        name: of the model, in v2.
        classes: in the order of its probabilities.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self, app: ASGI, space: InputSpace, protocol: str, name: str, classes: Sequence[str] | None
    ) -> None:
        self.app, self.space, self.protocol, self.name = app, space, protocol, name
        self.classes = None if classes is None else tuple(classes)
        self._form = ""
        self._names = [feature.name for feature in space.features]

    def tried(self, x: Array) -> tuple[str, ...]:
        """Find out how it is asked, with these rows; return its classes.

        Raises:
            ValueError: it answers labels, and nobody said of which classes.
        """
        raw = self._asked(x)
        if self.classes is None:
            if not isinstance(raw[0], list):
                raise ValueError(
                    "classes must be given, as the application answers labels; name them, or have "
                    "it answer probabilities (MLflow: pyfunc_predict_fn='predict_proba')"
                )
            self.classes = tuple(str(place) for place in range(len(raw[0])))
        return self.classes

    def predict(self, x: Array) -> Reply:
        """Answer rows (n, d).

        Raises:
            Problem: 502, the application did not answer, or something else; 503, it is slow.
        """
        if self.classes is None:
            self.tried(x)
        return self._reply(self._asked(x))

    def _reply(self, raw: Any) -> Reply:
        assert self.classes is not None
        if raw and isinstance(raw[0], list):
            try:
                outputs = np.array(raw, dtype=np.float64)
            except (ValueError, TypeError, OverflowError):
                raise _failed("rows of several lengths, or no numbers") from None
            k = len(self.classes)
            if outputs.shape != (len(raw), k) or not np.isfinite(outputs).all():
                raise _failed(f"something else than {k} probabilities a row")
            return from_outputs(outputs)
        places = {name: place for place, name in enumerate(self.classes)}
        known = [places.get(str(label)) for label in raw]
        if None in known:
            raise _failed("labels that are not among classes=")
        return Reply(np.array(known, dtype=np.int64))

    def _asked(self, x: Array) -> Any:
        rows = values(self.space, x)
        if self.protocol == "v2":
            return self._tensors(rows, len(x))
        for form in [self._form] if self._form else FORMS:
            split = {"columns": self._names, "data": rows}
            body = {form: split if form == "dataframe_split" else rows}
            status, told = self._call("/invocations", body)
            if status == 200:
                self._form = form
                return _of(told, "predictions", len(x))
        raise _failed(f"status {status}")

    def _tensors(self, rows: list[list[Any]], n: int) -> Any:
        inputs = [
            {
                "name": feature.name,
                "shape": [n, 1],
                "datatype": "BYTES" if isinstance(feature, Categorical) else "FP64",
                "data": [row[place] for row in rows],
            }
            for place, feature in enumerate(self.space.features)
        ]
        if all(tensor["datatype"] == "FP64" for tensor in inputs):
            flat = [value for row in rows for value in row]
            shape = [n, len(self._names)]
            inputs = [{"name": "x", "shape": shape, "datatype": "FP64", "data": flat}]
        status, told = self._call(f"/v2/models/{self.name}/infer", {"inputs": inputs})
        if status != 200:
            raise _failed(f"status {status}")
        try:
            outputs = {one["name"]: one for one in told["outputs"]}
            found = outputs.get("predict_proba") or outputs["predict"]
            data = np.asarray(found["data"]).reshape(found["shape"])
        except (LookupError, TypeError, ValueError, ArithmeticError):
            raise _failed("neither predict_proba nor predict, as v2 has them") from None
        if data.ndim not in (1, 2) or len(data) != n:
            raise _failed(f"a tensor of another size than {n} rows")
        return data.tolist() if data.ndim < 2 or data.shape[1] > 1 else data.ravel().tolist()

    def _call(self, path: str, body: Any) -> tuple[int, Any]:
        """Ask the application on its own loop, and wait."""
        data = orjson.dumps(body)
        answered = asyncio.run_coroutine_threadsafe(_sent(self.app, path, data), self.loop)
        try:
            status, told = answered.result(PATIENCE)
        except TimeoutError:
            answered.cancel()
            slow = f"the model behind this service took more than {PATIENCE:.0f} s; come back later"
            raise Problem(503, "unavailable", slow, headers={"retry-after": "1"}) from None
        try:
            return status, msgspec.json.decode(told) if status == 200 else None
        except msgspec.DecodeError:
            raise _failed("no JSON") from None


async def _sent(app: ASGI, path: str, body: bytes) -> tuple[int, bytes]:
    """Send one request to an application in this process."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"model"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 0),
        "server": ("model", 80),
    }
    ended, parts, status = asyncio.Event(), [], 500
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if asked:  # the client stays until it is answered
            await ended.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                ended.set()

    await app(scope, receive, send)
    return status, b"".join(parts)


def _of(told: Any, key: str, n: int) -> Any:
    found = told.get(key) if isinstance(told, dict) else told
    if not isinstance(found, list) or len(found) != n or (found and isinstance(found[0], dict)):
        raise _failed("no list of labels or probabilities, one a row")
    return found


def _failed(what: str) -> Problem:
    return Problem(502, "model", f"the model behind this service answered {what}; try again later")

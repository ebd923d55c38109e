"""What is answered in place of predictions: RFC 9457, with the fields of both protocols."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

MOST_ERRORS = 10  # told of one body
KIND = b"application/problem+json"
MLFLOW = {  # the words of its `error_code`
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_LIMIT_EXCEEDED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    502: "TEMPORARILY_UNAVAILABLE",
    503: "TEMPORARILY_UNAVAILABLE",
}


class Fault(NamedTuple):
    """What is wrong with a body, and where; never the value that stands there."""

    problem: str
    row: int | None = None
    column: str | None = None


class Problem(Exception):
    """A request that gets no predictions.

    Args:
        status: of HTTP.
        kind: the last word of its `type`.
        detail: what was asked, what is allowed, what to do; nothing of the client's data.
        faults: of the body, where there are any.
        headers: that go with it.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.faults, self.headers = list(faults), dict(headers or {})

    def body(self, path: str) -> bytes:
        """Write it for the clients of this route."""
        told: dict[str, Any] = {
            "type": f"/problems/{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
        }
        if self.faults:
            told["errors"] = [fault._asdict() for fault in self.faults[:MOST_ERRORS]]
        if path == "/invocations":
            code = MLFLOW.get(self.status, "INVALID_PARAMETER_VALUE")
            told |= {"error_code": code, "message": self.detail}
        if path.startswith("/v2"):
            told["error"] = self.detail
        return orjson.dumps(told)


def unreadable(why: str) -> Problem:
    """Say that a body is no JSON, or no CSV."""
    return Problem(400, "unreadable", why)


def invalid(faults: Sequence[Fault]) -> Problem:
    """Say what is wrong with the rows of a body."""
    first = faults[0]
    where = [f"row {first.row}"] if first.row is not None else []
    where += [f"column {first.column!r}"] if first.column is not None else []
    told = f"{', '.join(where)}: {first.problem}" if where else first.problem
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem(422, "invalid", told + more, faults)


def too_large(what: str, limit: int) -> Problem:
    """Say that a body, or a batch, is above the limit: without Retry-After, for it never fits."""
    return Problem(413, "too-large", f"{what} must be at most {limit}; send it in parts")


def bad(problem: str) -> Problem:
    """Say that a body has another form than the protocol's."""
    return invalid([Fault(problem)])

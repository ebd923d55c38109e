"""Posts to one endpoint: again where that may help, and to an end with a reason where not."""

import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from moatbench.remote.address import Place, Plain, connection

ANSWERED = (200, 201)  # some services say that each prediction is created
AGAIN = (408, 502, 504)  # the service, or what stands before it, may be back in a moment
WAIT = (429, 503)
FIRST_WAIT = 0.5  # seconds; each further wait is twice as long
MOST_WAITS = 30  # for one request
MOST_BYTES, PART = 2**27, 2**16  # of an answer, and of what is read of it at once
SHOWN = 300  # characters of an answer that nobody understands
GO_ON = "the same command goes on from here"


class Stopped(RuntimeError):
    """The endpoint answers no more; the message is the reason."""


class TooMany(Exception):
    """The endpoint takes no batch of this size, or fails on it."""


class Refused(Exception):
    """The endpoint's defense answers none of these rows; they count."""


@dataclass
class Client:
    """Asks one address.

    Args:
        place: of the endpoint.
        headers: of every request; a key is in them, and nowhere else.
        authorized: whether it may be beyond loopback.
        timeout: seconds for an answer.
        tries: of a request that got none.
        most_wait: seconds that the service may ask to wait.
    """

    place: Place
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    authorized: bool = False
    timeout: float = 30.0
    tries: int = 5
    most_wait: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    waited: float = field(default=0.0, init=False)  # seconds, as the service asked to
    _connection: Plain | None = field(default=None, init=False, repr=False)

    def post(self, body: Any) -> Any:
        """Send JSON; return the JSON that is answered.

        Raises:
            Stopped: there will be no answer; says why.
            Refused: it answers none of these rows, by RFC 9457's type `refused`.
            TooMany: a smaller batch may get one.
            NotAuthorized: the address is beyond loopback.
        """
        message, again = json.dumps(body, allow_nan=False).encode(), str(uuid.uuid4())
        failed = waits = faults = 0
        while True:
            try:
                status, headers, text = self._sent(message, again)
            except (OSError, HTTPException) as error:
                if isinstance(error, PermissionError):
                    raise
                failed += 1
                if failed >= self.tries:
                    raise Stopped(_gone(error, failed)) from error
                self._pause(failed)
                continue
            if status in ANSWERED:
                return _loaded(text, headers.get("content-encoding", "identity"))
            if status in AGAIN and (failed := failed + 1) < self.tries:
                self._pause(failed)
            elif status in WAIT and (waits := waits + 1) < MOST_WAITS:
                self._wait(status, headers.get("retry-after"), waits)
            elif status == 500 and not (faults := faults + 1) > 1:
                self._pause(1)
            elif status in (413, 500):
                raise TooMany(_refusal(status, text))
            elif status == 403 and _is_refused(text):
                raise Refused(_refusal(status, text))
            else:
                raise Stopped(_refusal(status, text, headers.get("location", "")))

    def masked(self, text: str) -> str:
        """Return what is to be shown of the service, without the key, which it may have echoed."""
        for value in self.headers.values():
            text = text.replace(value.split()[-1], "...")
        return text

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _sent(self, message: bytes, again: str) -> tuple[int, dict[str, str], str]:
        """Send a request on the open connection, or on a new one; return what came.

        A service may close a connection that it kept, after each answer or a few idle seconds:
        that says nothing of it, so a new one is tried at once.
        """
        kept = self._connection is not None
        try:
            return self._sent_once(message, again)
        except ConnectionError:
            if not kept:
                raise
            return self._sent_once(message, again)

    def _sent_once(self, message: bytes, again: str) -> tuple[int, dict[str, str], str]:
        if self._connection is None:
            self._connection = connection(self.place, self.timeout, self.authorized)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            self._connection.within(self.timeout)
            self._connection.request(
                "POST",
                self.place.path,
                message,
                headers | {"Idempotency-Key": again} | self.headers,
            )
            answer = self._connection.getresponse()
            data = _read(answer)
        except BaseException:
            self.close()
            raise
        if len(data) > MOST_BYTES:
            self.close()
            raise Stopped(f"the service answered more than {MOST_BYTES >> 20} MiB to one request")
        told = {name.lower(): value for name, value in answer.getheaders()}
        text = data.decode("utf-8-sig", errors="replace")  # some services mark it as UTF-8
        return answer.status, told, text

    def _pause(self, failed: int) -> None:
        """Wait twice as long each time, give or take, as others may wait for the same service."""
        self.sleep(min(self.most_wait, FIRST_WAIT * 2 ** (failed - 1)) * random.uniform(0.8, 1.2))

    def _wait(self, status: int, told: str | None, waits: int) -> None:
        """Wait as long as the service says; without a word, as after a failure."""
        if (seconds := _seconds(told)) is None:
            self._pause(min(waits, 8))
        elif seconds > self.most_wait:
            raise Stopped(
                f"the service answered {status} and asks to wait {seconds:.0f} s, and "
                f"victim.most_wait is {self.most_wait:g}; raise it, or come back later: {GO_ON}"
            )
        else:
            self.waited += seconds
            self.sleep(seconds)


def _read(answer: HTTPResponse) -> bytes:
    """Read an answer to its end, or to more than it may have.

    Raises:
        IncompleteRead: it ended before.
    """
    data = bytearray()
    while len(data) <= MOST_BYTES and (part := answer.read1(PART)):
        data += part
    if len(data) <= MOST_BYTES and answer.length:
        raise IncompleteRead(bytes(data), answer.length)
    answer.close()  # the connection is free for the next request
    return bytes(data)


def _seconds(told: str | None) -> float | None:
    """Return what Retry-After means: seconds, or a date; None where it is neither."""
    if told is None:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):  # of a year that no clock knows
        return None


def _loaded(text: str, packed: str) -> Any:
    if packed.lower() != "identity":
        raise Stopped(f"the service packs its answers by {packed[:40]!r}, which was not asked for")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Stopped(f"the service must answer JSON, got {text[:SHOWN]!r}") from None


def _is_refused(text: str) -> bool:
    """Whether an error says of itself that rows are refused, and not who asks."""
    try:
        return str(json.loads(text)["type"]).rpartition("/")[2] == "refused"
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _gone(error: Exception, tries: int) -> str:
    what = " ".join(str(error).split()) or type(error).__name__
    return f"the service does not answer ({what}), tried {tries} times; once it is back, {GO_ON}"


def _refusal(status: int, text: str, location: str = "") -> str:
    """Say what a status means, with what the service said of it."""
    said = " ".join(text[:SHOWN].split())
    if 300 <= status < 400:
        return (
            f"the service redirects to {location[:SHOWN]!r}, and no redirect is followed; if that "
            "is the service you mean, name it in victim.url"
        )
    meant = {
        401: "victim.key_env must name the variable that holds a valid key; the service answered",
        402: f"the budget of the key is spent; with a larger one {GO_ON}; the service answered",
        403: "the service forbids this; it answered",
        404: "victim.url leads to nothing; the service answered",
        429: f"the service asked to wait {MOST_WAITS} times in a row; later {GO_ON}; it answered",
        503: f"the service was busy {MOST_WAITS} times in a row; later {GO_ON}; it answered",
    }.get(status, "the service answered")
    return f"{meant} {status}: {said}"

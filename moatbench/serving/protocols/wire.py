"""HTTP on a connection, as uvicorn reads it, and what that leaves open: offers, and long heads."""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 2**16  # bytes of a request line and headers
PASSED = (b"upgrade", b"http2-settings")  # said of the connection, not of the request


class Connection(HttpToolsProtocol):
    """A connection that answers a request which offers another protocol, as HTTP/1.1 has it.

    Java's own client offers HTTP/2 so. The parser takes all that follows for the other protocol:
    the body would be lost, and no later request on the connection answered. And a head may not
    grow without end, for it is kept before anybody has shown a key.
    """

    _head = 0  # bytes of a head that has not ended

    def data_received(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._unset_keepalive_if_required()
        self._head += len(data)
        while data:
            data = self._fed(data)
        if self._head > MOST_HEAD:
            self.send_400_response("The head of a request must have at most 64 KiB.")

    def _fed(self, data: bytes) -> bytes:
        """Feed the parser; return what it is to be fed next, b'' where that was all."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as told:
            if self.parser.get_method() != b"CONNECT":
                return self._without_offer() + data[told.args[0] :]
            self.send_400_response("CONNECT is not taken here.")
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        return b""

    def on_headers_complete(self) -> None:
        """Begin to answer, unless another protocol was offered: the head is then read again."""
        self._head = -(2**63)  # bytes of a body are not counted
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the body, and count the next head from its start."""
        self._head = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _without_offer(self) -> bytes:
        """Return the head that was read as a plain one, for a parser that knows nothing of it."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % one for one in map(_plain, self.headers) if one]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return b"\r\n".join([*lines, b"", b""])


def _plain(header: tuple[bytes, bytes]) -> Any:
    """Return a header without what it says of an upgrade; None where it says nothing else."""
    name, value = header
    if name in PASSED:
        return None
    if name == b"connection":
        value = b",".join(v for v in value.split(b",") if v.strip().lower() not in PASSED)
        return (name, value) if value.strip() else None
    return header

"""Where an endpoint is, and whether it may be asked: by the address that each connection goes to.

A name may lead elsewhere from one look-up to the next. So each connection looks it up once, and
goes to the very address that was checked.
"""

import math
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

SLOW = "its answer came too slowly, see victim.timeout"
SECRET = ("key", "token", "secret", "password", "signature", "sig", "code")


class NotAuthorized(PermissionError):
    """The endpoint is not on this machine, and nobody has said that it may be attacked."""


class Place(NamedTuple):
    """An address of HTTP: whether it is encrypted, host, port, and the path with its query."""

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read an address.

        Raises:
            ValueError: it is none of HTTP, or holds a secret, which Hydra would write down.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            shape = "http://127.0.0.1:8080 or https://host/path"
            raise ValueError(f"victim.url must be an address like {shape}, got {url!r}")
        named = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        if parts.username or parts.password or any(n.lower().endswith(SECRET) for n in named):
            raise ValueError(
                "victim.url must hold no secret, as it is written down with the run; change that "
                "key, and name the variable that holds the new one with victim.key_env=NAME"
            )
        secure = parts.scheme == "https"
        query = f"?{parts.query}" if parts.query else ""
        return cls(
            secure, parts.hostname, port or (443 if secure else 80), (parts.path or "/") + query
        )


def is_loopback(address: str) -> bool:
    """Whether a numerical address is this machine's own."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback


class Timed(socket.socket):
    """A socket whose time runs out as a whole: a byte now and then does not make it longer."""

    until = math.inf  # of the monotonic clock

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive, while there is time."""
        _set_timeout(self)
        try:
            return super().recv_into(*args, **kwargs)
        except TimeoutError:
            raise TimeoutError(SLOW) from None


class TimedSecure(ssl.SSLSocket):
    """The same, encrypted."""

    until = math.inf

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        """Receive, while there is time."""
        _set_timeout(self)
        try:
            return super().recv_into(*args, **kwargs)
        except TimeoutError:
            raise TimeoutError(SLOW) from None

    def send(self, *args: Any, **kwargs: Any) -> int:
        """Send, while there is time; a plain socket's `sendall` has one time for all of it."""
        _set_timeout(self)
        return super().send(*args, **kwargs)


def _set_timeout(made: Timed | TimedSecure) -> None:
    left = made.until - time.monotonic()
    if left <= 0:
        raise TimeoutError(SLOW)
    if left < math.inf:
        made.settimeout(left)


def dialled(host: str, port: int, timeout: float, authorized: bool) -> Timed:
    """Connect to the first address of a host that answers, each checked before it is dialled.

    Raises:
        NotAuthorized: the address is beyond loopback; nothing was sent.
        OSError: nobody answers.
    """
    failed: OSError | None = None
    for family, kind, protocol, _, at in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not authorized and not is_loopback(str(at[0])):
            raise NotAuthorized(
                f"victim.url leads to {at[0]}, which is not this machine; if the service is yours, "
                "or its owner has let you attack it, say victim.i_am_authorized=true"
            )
        made = Timed(family, kind, protocol)
        try:
            made.settimeout(timeout)
            made.connect(at)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
        except OSError as error:
            made.close()
            failed = error
    raise failed or OSError(f"{host} has no address")


class Plain(HTTPConnection):
    """A connection to an address that was checked, with a time for each request."""

    authorized = False
    until = math.inf

    def connect(self) -> None:
        """Connect to an address that was checked."""
        self.sock = dialled(self.host, self.port, self.timeout or 0.0, self.authorized)
        self.sock.until = self.until

    def within(self, seconds: float) -> None:
        """Give the next request, with its answer, so much time in all."""
        self.until = time.monotonic() + seconds
        if self.sock is not None:
            self.sock.until = self.until  # type: ignore[union-attr]
            self.sock.settimeout(seconds)


class Secure(Plain, HTTPSConnection):
    """The same, encrypted."""

    context: ssl.SSLContext

    def connect(self) -> None:
        """Connect to an address that was checked, and verify that the host is who it says."""
        plain = dialled(self.host, self.port, self.timeout or 0.0, self.authorized)
        made = self.context.wrap_socket(plain, server_hostname=self.host)
        made.until = self.until  # type: ignore[attr-defined]
        self.sock = made


def connection(place: Place, timeout: float, authorized: bool) -> Plain:
    """Return a connection, not made yet; no proxy, no redirect."""
    made: Plain | Secure
    if place.secure:
        made = Secure(place.host, place.port, timeout=timeout)
        made.context = ssl.create_default_context()
        made.context.sslsocket_class = TimedSecure
    else:
        made = Plain(place.host, place.port, timeout=timeout)
    made.authorized = authorized
    return made

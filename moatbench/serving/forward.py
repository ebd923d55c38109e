"""A scoring server elsewhere, as an ASGI application: what it is asked goes there and back."""

from typing import TYPE_CHECKING, Any

from moatbench.serving.front import Receive, Scope, Send, whole

if TYPE_CHECKING:
    from aiohttp import ClientSession

JSON = "application/json"
GONE = b'{"message": "the model does not answer"}'
MOST = 2**30  # bytes of a request; what stands before it allows less


class Forward:
    """Asks the server at an address, such as `mlflow models serve`, over connections that stay.

    Args:
        url: of the server, http://127.0.0.1:5000.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send one request on, and its answer back."""
        import aiohttp

        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        kept = {"content-type", "accept"}  # keys are for who stands before the server
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name.decode("latin-1").lower() in kept
        }
        body = await whole(receive, MOST)
        try:
            asked = self._session.request(
                *(scope["method"], self.url + scope["path"]),
                data=body,
                headers=headers,
                allow_redirects=False,
            )
            async with asked as answer:
                data, status = await answer.read(), answer.status
                kind = answer.headers.get("content-type", JSON)
        except aiohttp.ClientError:
            data, status, kind = GONE, 502, JSON
        start: dict[str, Any] = {"type": "http.response.start", "status": status}
        start["headers"] = [(b"content-type", kind.encode("latin-1"))]
        await send(start)
        await send({"type": "http.response.body", "body": data})

    async def _live(self, receive: Receive, send: Send) -> None:
        """Let go of connections when the server before it ends."""
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        if self._session is not None:
            await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

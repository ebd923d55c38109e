"""The owner's page: accounts, alarms, scores, and what a thief could have by now; and /metrics."""

import hmac
import html
from collections.abc import Sequence
from importlib.resources import files
from math import ceil
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from moatbench.defense import Defense
from moatbench.record.curve import Row, by_attack, read, worst_case
from moatbench.record.summary import Summary
from moatbench.serving.front import Front
from moatbench.serving.kept.clients import Client
from moatbench.serving.keys import presented
from moatbench.serving.protocols.problems import KIND, Problem

COOKIE = "moatbench_owner"
SAFE = {
    "content-security-policy": "default-src 'none'; connect-src 'self'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Curve(NamedTuple):
    """The worst case that a run measured on this defense: queries and fidelity, in order."""

    title: str
    points: Sequence[Row]

    @classmethod
    def read(cls, folder: Path) -> "Curve":
        """Read the record of a run."""
        points = worst_case(by_attack(read(folder / "curve.csv")))
        summary = Summary.read(folder)
        return cls(f"{summary.victim} on {summary.data} behind {summary.defense}", points)

    def by(self, queries: int) -> dict[str, Any] | None:
        """Return the highest fidelity that was measured with so many queries; None with fewer."""
        reached = [point for point in self.points if point["queries"] <= queries]
        if not reached:
            return None
        best = max(reached, key=lambda point: point["fidelity_test"])
        return {"fidelity": best["fidelity_test"], "queries": best["queries"]}


def owner_page(
    front: Front,
    key: str,
    record: Path | None = None,
    *,
    accounts: bool = False,
) -> Starlette:
    """Return the owner's application, for a port that only the owner reaches.

    Args:
        front: what clients meet.
        key: the owner's; without it, a page is 403.
        record: folder of a run on this defense.
        accounts: whether metrics tell of each account, by its number.
    """
    curve = None if record is None else Curve.read(record)

    def allowed(request: Request) -> bool:
        given = presented(request.scope["headers"]).decode("latin-1") or request.cookies.get(COOKIE)
        return hmac.compare_digest((given or "").encode(), key.encode())

    def forbidden(request: Request) -> Response:
        told = "the owner's key must be sent; open the address that moatbench-serve tells"
        body = Problem(403, "not-the-owner", told).body(request.url.path)
        return Response(body, 403, SAFE, media_type=KIND.decode())

    async def page(request: Request) -> Response:
        if hmac.compare_digest(request.query_params.get("key", "").encode(), key.encode()):
            sent = RedirectResponse("/", 303, SAFE)  # the address bar forgets the key
            sent.set_cookie(COOKIE, key, httponly=True, samesite="strict")
            return sent
        if not allowed(request):
            return forbidden(request)
        return Response(written(front, curve), headers=SAFE, media_type="text/html")

    async def state(request: Request) -> Response:
        if not allowed(request):
            return forbidden(request)
        told = orjson.dumps(overview(front, curve))
        return Response(told, headers=SAFE, media_type="application/json")

    async def metrics(request: Request) -> Response:
        return Response(measured(front, accounts=accounts), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[Route("/", page), Route("/state.json", state), Route("/metrics", metrics)]
    )


def written(front: Front, curve: Curve | None) -> str:
    """Write the page, which holds all that it needs."""
    page = files(__package__) / "page"
    state = orjson.dumps(overview(front, curve)).decode().replace("<", "\\u003c")
    parts = {kind: (page / f"owner.{kind}").read_text() for kind in ("css", "js")}
    title = html.escape(f"moatbench: {front.name}")
    return Template((page / "owner.html").read_text()).substitute(parts, title=title, state=state)


def overview(front: Front, curve: Curve | None) -> dict[str, Any]:
    """Tell the state of the service, as the page draws it."""
    service = front.service
    service.clients.refresh()
    clients = [service.clients[i] for i in sorted(service.clients)]
    in_alarm = sum(client.alarm is not None for client in clients)
    asked = sum(client.queries for client in clients)
    layers = " + ".join(map(_called, service.deployment.defense.layers.values()))
    return {
        "lead": f"{layers} in front of {front.name}. Accounts: {len(clients)}, {in_alarm} of them "
        f"with an alarm. Rows asked: {asked}.",
        "thief": _said(curve),
        "accounts": [_account(front, client, curve) for client in clients],
    }


def measured(front: Front, *, accounts: bool = False) -> bytes:
    """Write the metrics; with `accounts` also those of each, the ones that asked most first."""
    service = front.service
    service.clients.refresh()
    clients = service.clients.values()
    revoked = sum(client.account.revoked is not None for client in clients)
    alarms = sum(client.alarm is not None for client in clients)
    states = {"active": len(clients) - revoked, "revoked": revoked, "alarm": alarms}
    most = sorted(clients, key=lambda client: -client.queries) if accounts else []
    each = ((client.account.id, client.queries, client.refused) for client in most)
    return service.meters.text(states, service.store.size(), each)


def _called(layer: Defense) -> str:
    """Name a layer for the owner: what watches by its monitors."""
    return " and ".join(type(m).__name__ for m in layer.monitors) or type(layer).__name__


def _account(front: Front, client: Client, curve: Curve | None) -> dict[str, Any]:
    account = client.account
    return {
        "id": account.id,
        "name": account.name,
        "revoked": account.revoked is not None,
        "queries": client.queries,
        "refused": client.refused,
        "budget": account.budget,
        "left": client.left,
        "alarm": client.alarm,
        "waits": max(0, ceil(client.waits)),
        "thief": curve and curve.by(client.queries),
        "lines": front.service.deployment.watching.lines(account.token),
    }


def _said(curve: Curve | None) -> str:
    if curve is None:
        return "What a thief could have: give record=FOLDER, a run of the suite on this defense."
    return (
        f"A thief could have: the highest fidelity that any attack reached with as many queries or "
        f"fewer, by the record of {curve.title}."
    )

"""The routes beside predictions: health, metadata, documentation, the card, a key's own usage."""

from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from moatbench import __version__
from moatbench.serving.front import Front, Limits
from moatbench.serving.keys import presented
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.protocols.problems import KIND, Problem
from moatbench.serving.protocols.tensors import metadata
from moatbench.serving.schema import described
from moatbench.serving.service import Service
from moatbench.space import Numeric


def application(
    service: Service, columns: Columns, name: str = "model", limits: Limits | None = None
) -> Front:
    """Return the service as an ASGI application.

    Args:
        service: that answers.
        columns: what a client may send.
        name: of the model, in routes of v2.
        limits: of a request.
    """
    app = FastAPI(title=f"moatbench: {name}", version=__version__, redoc_url=None)
    front = Front(service, columns, name, app, limits)
    _plain(app, front)
    _v2(app, front)
    _told(app, front)

    @app.exception_handler(Problem)
    async def problem(request: Request, raised: Problem) -> Response:
        return _response(raised, request)

    @app.exception_handler(HTTPException)
    async def other(request: Request, raised: HTTPException) -> Response:
        kind = {404: "not-found", 405: "method"}.get(raised.status_code, "request")
        told = f"there is no {request.method} here; see /docs"
        return _response(
            Problem(raised.status_code, kind, told, headers=dict(raised.headers or {})), request
        )

    document = app.openapi

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = described(document(), front)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return front


def _plain(app: FastAPI, front: Front) -> None:
    """MLflow's own routes beside /invocations."""

    @app.get("/ping", tags=["mlflow"])
    @app.get("/health", tags=["mlflow"])
    async def health() -> Response:
        """Say whether the service is up."""
        return Response("\n", 503 if front.service.draining else 200, media_type="application/json")

    @app.get("/version", tags=["mlflow"])
    async def version() -> Response:
        """Tell the version."""
        return Response(__version__, media_type="application/json")


def _v2(app: FastAPI, front: Front) -> None:
    """The Open Inference Protocol's routes beside infer."""

    def known(name: str) -> None:
        if name != front.name:
            raise Problem(404, "no-model", f"the model here is called {front.name}")

    @app.get("/v2", tags=["v2"])
    async def server() -> dict[str, Any]:
        """Describe the server."""
        return {"name": "moatbench", "version": __version__, "extensions": []}

    @app.get("/v2/health/live", tags=["v2"])
    async def live() -> dict[str, bool]:
        """Say that the process lives."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=["v2"])
    async def ready(response: Response) -> dict[str, bool]:
        """Say whether requests are taken."""
        response.status_code = 503 if front.service.draining else 200
        return {"ready": not front.service.draining}

    @app.get("/v2/models/{name}", tags=["v2"])
    @app.get("/v2/models/{name}/versions/1", tags=["v2"])
    async def model(name: str) -> dict[str, Any]:
        """Describe the model: a tensor a column, and its outputs."""
        known(name)
        told: dict[str, Any] = metadata(name, "1", front.columns, front.writer.outputs)
        return told

    @app.get("/v2/models/{name}/ready", tags=["v2"])
    @app.get("/v2/models/{name}/versions/1/ready", tags=["v2"])
    async def model_ready(name: str, response: Response) -> dict[str, Any]:
        """Say whether the model takes requests."""
        known(name)
        response.status_code = 503 if front.service.draining else 200
        return {"name": name, "ready": not front.service.draining}

    @app.post("/v2/models/{name}/infer", include_in_schema=False)
    @app.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False)
    async def other_model(name: str) -> None:
        """Say that there is no such model: the one that is here is answered before."""
        raise Problem(404, "no-model", f"the model here is called {front.name}, version 1")


def _told(app: FastAPI, front: Front) -> None:
    """What clients are told: the card, and what their key has used."""
    card = front.service.card

    @app.get("/card", tags=["service"])
    async def get_card() -> dict[str, Any]:
        """Tell what a client knows before the first query."""
        return {
            "model": front.name,
            "classes": front.writer.classes,
            "features": [_feature(f) for f in card.space.features],
            "confidences": card.confidences,
            "partial": card.partial,
            "whole_distributions": card.full,
            "family": card.family,
            "architecture": dict(card.architecture),
            "price": card.price,
            "limits": {"body": front.limits.body, "rows": front.limits.rows},
        }

    @app.get("/usage", tags=["service"])
    async def usage(request: Request) -> dict[str, Any]:
        """Tell what the key that asks has used."""
        client = front.service.clients.of(presented(request.scope["headers"]))
        return {
            "account": client.account.id,
            "name": client.account.name,
            "queries": client.queries,
            "refused": client.refused,
            "budget": client.account.budget,
            "left": client.left,
            "dollars": round(card.price * (client.queries - client.refused), 9),
            "waits_until": client.waits_until or None,
        }


def _feature(feature: Any) -> dict[str, Any]:
    if isinstance(feature, Numeric):
        told = {"low": feature.low, "high": feature.high, "step": feature.step or None}
        return {"name": feature.name, "kind": "number", **told}
    return {"name": feature.name, "kind": "name", "values": list(feature.values)}


def _response(problem: Problem, request: Request) -> Response:
    return Response(
        problem.body(request.url.path), problem.status, problem.headers, media_type=KIND.decode()
    )

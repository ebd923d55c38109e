"""The OpenAPI description of the routes that predict."""

from typing import Any

from moatbench.serving.front import Front
from moatbench.serving.protocols.bodies import CSV, FORMS
from moatbench.serving.protocols.problems import KIND
from moatbench.serving.protocols.tensors import DATATYPES
from moatbench.space import Numeric

REJECTED = {
    400: "the body cannot be read",
    401: "no valid key",
    402: "the budget of the key is spent",
    403: "every row was refused",
    408: "the body came too slowly",
    409: "the Idempotency-Key went with another body",
    413: "the body or the batch is too large",
    415: "another content type",
    421: "the key is another shard's",
    422: "the rows are not as the card says",
    429: "the account waits",
    503: "the service is busy, or is being stopped",
}


def described(document: dict[str, Any], front: Front) -> dict[str, Any]:
    """Add the routes that predict to the description of the others."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "http", "scheme": "bearer"}
    document["paths"]["/invocations"] = {"post": _mlflow(front)}
    document["paths"][f"/v2/models/{front.name}/infer"] = {"post": _infer(front)}
    document["paths"]["/usage"]["get"]["security"] = [{"key": []}]
    document["paths"]["/usage"]["get"]["responses"]["401"] = _problem(REJECTED[401])
    for path, methods in document["paths"].items():
        if "{name}" in path:
            methods["get"]["responses"]["404"] = _problem("another model")
        if path == "/health" or path == "/ping" or path.endswith("ready"):
            methods["get"]["responses"]["503"] = {"description": REJECTED[503]}
    return document


def _mlflow(front: Front) -> dict[str, Any]:
    rows = {"type": "array", "items": {"type": "array", "items": _any(front)}}
    records = {"type": "array", "items": _record(front)}
    split = {"type": "object", "required": ["data"], "additionalProperties": False}
    split["properties"] = {
        "columns": {"type": "array", "items": {"enum": front.columns.names}},
        "data": rows,
        "index": {"type": "array"},
    }
    forms: dict[str, Any] = dict(zip(FORMS, (split, records, rows, rows), strict=True))
    choices = [
        {
            "type": "object",
            "required": [form],
            "properties": {form: schema},
            "additionalProperties": False,
        }
        for form, schema in forms.items()
    ]
    body = {"application/json": {"schema": {"oneOf": choices}}, CSV: {"schema": {"type": "string"}}}
    told = {
        "type": "object",
        "required": ["predictions"],
        "properties": {
            "predictions": {"type": "array"},
            "labels": {"type": "array"},
            "fields": {"type": "array"},
            "refused": {"type": "array", "items": {"type": "integer"}},
            "rounded": {"type": "array", "items": {"type": "integer"}},
        },
    }
    return _post("mlflow", "Predict, in MLflow's protocol", body, told)


def _infer(front: Front) -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"enum": list(DATATYPES)},
            "data": {"type": "array"},
        },
    }
    output = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": list(front.writer.outputs)}},
    }
    body = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": output},
        },
    }
    told = {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {"model_name": {"type": "string"}, "outputs": {"type": "array"}},
    }
    content = {"application/json": {"schema": body}}
    return _post("v2", "Predict, in the Open Inference Protocol", content, told)


def _post(tag: str, summary: str, body: Any, told: Any) -> dict[str, Any]:
    answered = {"description": "answered", "content": {"application/json": {"schema": told}}}
    rejected = {str(status): _problem(why) for status, why in REJECTED.items()}
    key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
    return {
        "tags": [tag],
        "summary": summary,
        "security": [{"key": []}],
        "parameters": [key],
        "requestBody": {"required": True, "content": body},
        "responses": {"200": answered, **rejected},
    }


def _problem(why: str) -> dict[str, Any]:
    schema = {"type": "object", "required": ["type", "title", "status", "detail"]}
    return {"description": why, "content": {KIND.decode(): {"schema": schema}}}


def _record(front: Front) -> dict[str, Any]:
    properties = {f.name: _value(f, front.columns.partial) for f in front.columns.space.features}
    required = [] if front.columns.partial else front.columns.names
    return {"type": "object", "properties": properties, "required": required}


def _value(feature: Any, partial: bool) -> dict[str, Any]:
    if isinstance(feature, Numeric):
        one: dict[str, Any] = {"type": "number", "minimum": feature.low, "maximum": feature.high}
    else:
        one = {"enum": list(feature.values)}
    return {"anyOf": [one, {"type": "null"}]} if partial else one


def _any(front: Front) -> dict[str, Any]:
    """One value of a row: numbers and names alike, where there are both."""
    if front.columns.plain:
        return {"type": ["number", "null"] if front.columns.partial else "number"}
    return {}

"""What was understood of a service, in one look: a request, its answer, and what may go wrong."""

import json
from collections.abc import Sequence
from typing import Any

from moatbench.remote.dry import DryRun
from moatbench.remote.endpoint import Endpoint
from moatbench.remote.learned import learn
from moatbench.remote.mapping import Told
from moatbench.remote.reading import Reading, gap_between

ROWS = 3  # that are shown
LONG = 600  # characters that are shown
FRACTION = 0.4  # that is added to a whole number, to see whether it is cast


def look(dry: DryRun) -> list[str]:
    """Ask a service a few rows, and say in lines what was made of it.

    Raises:
        ValueError: it is not read, or varies.
        Stopped: it does not answer.
    """
    endpoint, shares = dry.endpoint, dry.shares
    few = endpoint.columns(shares.x_test[:ROWS])
    place, mapped = endpoint.client.place, endpoint.mapped
    scheme = "https" if place.secure else "http"
    lines = [
        f"endpoint: {mapped.kind} at {scheme}://{place.host}:{place.port}{place.path}",
        f"request:  {_short(mapped.body(_some(few, 1 if mapped.single else ROWS)))}",
    ]
    notes = learn(endpoint, shares.x_test, shares.classes, dry.classes, dry.binary)
    reading = endpoint.reading
    assert reading is not None
    told = endpoint.told(shares.x_test[:ROWS])
    lines += [f"answer:   {_short([one._asdict() for one in told])}", *_read(dry, reading, told)]
    agrees = notes.get("agrees_with_itself")
    steady = "alike each time" if agrees is None else f"{100 * agrees:.0f} % alike"
    lines.append(f"steady:   the same rows are answered {steady}")
    lines += _casts(dry, reading)
    endpoint.told(shares.x_test[: endpoint.limits.batch])  # the judge will want them too
    lines.append(f"batch:    {endpoint.batch} rows a request are taken")
    return lines


def _read(dry: DryRun, reading: Reading, told: Sequence[Told]) -> list[str]:
    """Say what was made of the answers."""
    shares, reply = dry.shares, reading.reply(told)
    lines = []
    for row in range(len(told)):
        outputs = None if reply.outputs is None else reply.outputs[row]
        p = "" if outputs is None else ": " + " ".join(f"{v:.4g}" for v in outputs[:12])
        true = shares.classes[shares.y_test[row]]
        lines.append(f"  row {row}: {shares.classes[reply.labels[row]]}{p} (in the data: {true})")
    if reading.confidences:
        return [f"read as:  probabilities of {', '.join(shares.classes[:12])}", *lines]
    why = "labels only; a model of MLflow answers more where it is logged with"
    return [f"read as:  {why} pyfunc_predict_fn='predict_proba'", *lines]


def _casts(dry: DryRun, reading: Reading) -> list[str]:
    """Say what becomes of fractions in each column of whole numbers."""
    space, found = dry.shares.space, dict[str, list[str]]()
    row = dry.endpoint.columns(dry.shares.x_test[:1])
    for feature, place in zip(space.features, space.columns, strict=True):
        if space.steps[place.start] != 1:
            continue
        value = float(row[feature.name][0])
        other = value + 1 if value + 1 <= space.high[place.start] else value - 1
        asked = {name: [v[0]] * 3 for name, v in row.items()}
        asked[feature.name] = [value, value + FRACTION * (other - value), other]
        found.setdefault(_fate(dry.endpoint, reading, asked), []).append(feature.name)
    said = "; ".join(f"{fate}: {', '.join(names[:12])}" for fate, names in found.items())
    return [f"integers: {said}. They are sent whole"] if found else []


def _fate(endpoint: Endpoint, reading: Reading, asked: dict[str, list[Any]]) -> str:
    """Say what becomes of the middle one of three rows, between two whole numbers."""
    answers = endpoint.tried(asked)
    if isinstance(answers, str):
        return "fractions are refused"
    whole, between, next_one = ([answer] for answer in answers)
    if gap_between(reading, whole, next_one) == 0:
        return "no difference to be seen"
    if 0 in (gap_between(reading, whole, between), gap_between(reading, between, next_one)):
        return "fractions are CAST to whole numbers"
    return "fractions are taken as they are"


def _some(columns: dict[str, list[Any]], n: int) -> dict[str, list[Any]]:
    return {name: values[:n] for name, values in columns.items()}


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= LONG else f"{text[:LONG]} ... ({len(text):,} characters)"

"""The Open Inference Protocol v2: tensors in, tensors out."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from moatbench.serving.protocols.bodies import JSON, loaded, media_of
from moatbench.serving.protocols.columns import EXACT, Columns
from moatbench.serving.protocols.problems import (
    MOST_ERRORS,
    Fault,
    Problem,
    bad,
    invalid,
    too_large,
)
from moatbench.types import Array

FLOATS = ("FP64", "FP32", "FP16")
WHOLE = {f"{sign}INT{bits}": (sign, bits) for sign in ("", "U") for bits in (8, 16, 32, 64)}
DATATYPES = (*FLOATS, *WHOLE, "BOOL", "BYTES")
OUTPUTS = ("predict", "predict_proba")


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


class Wanted(msgspec.Struct):
    """What a request asks for: its id, the names of the outputs, rows (n, d)."""

    id: str | None
    outputs: Sequence[str]
    x: Any


class Tensors:
    """Reads what clients of the protocol send.

    Args:
        columns: what they may send.
        most_rows: of one request.
        outputs: that this service has.
    """

    def __init__(self, columns: Columns, most_rows: int, outputs: Sequence[str]) -> None:
        self.columns, self.most_rows, self.outputs = columns, most_rows, outputs
        value = float | None if columns.partial else float
        self._request = msgspec.json.Decoder(_Request)
        self._flat: Any = msgspec.json.Decoder(list[value])  # type: ignore[valid-type]
        self._nested: Any = msgspec.json.Decoder(list[list[value]])  # type: ignore[valid-type]

    def read(self, body: bytes, kind: str) -> Wanted:
        """Return what a body asks for.

        Raises:
            Problem: 400, 413, 415 or 422.
        """
        if media_of(kind) != JSON:
            told = f"content-type must be {JSON}, in UTF-8; binary tensors are not taken"
            raise Problem(415, "media-type", told)
        try:
            request = self._request.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            loaded(body)  # where it is no JSON at all, that is what is wrong
            raise bad(
                "the body must be an object with inputs, a list of tensors, each with name, shape, "
                "datatype and data; null, NaN and Infinity are no numbers"
            ) from error
        outputs = [one.name for one in request.outputs or ()] or list(self.outputs)
        if unknown := [name[:40] for name in outputs if name not in self.outputs]:
            raise bad(f"outputs must be among {', '.join(self.outputs)}, got {unknown[0]!r}")
        if len(outputs) > len(self.outputs):  # a short request may not ask for a long answer
            raise bad("outputs must have each name once")
        return Wanted(request.id, outputs, self._rows(request.inputs))

    def _rows(self, tensors: list[_Tensor]) -> Array:
        for tensor in tensors:
            self._check(tensor)
        if len(tensors) == 1 and len(tensors[0].shape) == 2 and not self._is_column(tensors[0]):
            return self._matrix(tensors[0])
        given: dict[str, list[Any]] = {}
        for tensor in tensors:
            if tensor.name in given:
                raise bad("inputs must have each name once")
            if tensor.shape[1:] not in ([], [1]):
                raise _at(tensor, "must have the shape [n] or [n, 1], a tensor a column")
            given[tensor.name] = self._values(tensor)
        if len({len(values) for values in given.values()}) > 1:
            raise bad("inputs must be equally long")
        return self.columns.by_column(given, tensors[0].shape[0] if tensors else 0)

    def _is_column(self, tensor: _Tensor) -> bool:
        return tensor.shape[1] == 1 and tensor.name in self.columns.names

    def _check(self, tensor: _Tensor) -> None:
        if tensor.datatype not in DATATYPES:
            raise _at(tensor, f"datatype must be one of {', '.join(DATATYPES)}")
        if not 0 < len(tensor.shape) < 3 or min(tensor.shape) < 1:
            raise _at(tensor, "shape must be [n] or [n, columns], with one row or more")
        if tensor.shape[0] > self.most_rows:
            raise too_large("rows of a request", self.most_rows)

    def _matrix(self, tensor: _Tensor) -> Array:
        """Take one tensor of all columns, in their order; its data flat or nested."""
        n, width = tensor.shape
        if tensor.datatype in FLOATS and self.columns.plain:
            with suppress(msgspec.DecodeError, RecursionError):
                if (x := self._numbers(bytes(tensor.data), n, width)) is not None:
                    return x
        self.columns.positional(width)
        values = self._values(tensor)
        rows = [values[start : start + width] for start in range(0, n * width, width)]
        return self.columns.rows(rows, None)

    def _numbers(self, data: bytes, n: int, width: int) -> Array | None:
        """Take numbers alone; None where the longer way has to see them."""
        if data.lstrip()[1:].lstrip()[:1] == b"[":
            rows = self._nested.decode(data)
            right = len(rows) == n and len(rows[0]) == width
            return self.columns.numbers(rows, None) if right else None
        flat = np.array(self._flat.decode(data), dtype=np.float64)
        return (
            self.columns.numbers(flat.reshape(n, width), None) if len(flat) == n * width else None
        )

    def _values(self, tensor: _Tensor) -> list[Any]:
        """Return the data of a tensor, flat, checked against its shape and datatype."""
        data = loaded(bytes(tensor.data))
        if not isinstance(data, list):
            raise _at(tensor, "data must be a list")
        if any(isinstance(value, list) for value in data):
            if not all(isinstance(v, list) and len(v) == tensor.shape[-1] for v in data):
                raise _at(tensor, "data must be flat, or nested as shape says")
            data = [value for row in data for value in row]
        if len(data) != int(np.prod([min(s, 2**31) for s in tensor.shape])):
            raise _at(tensor, "data must have as many values as shape says")
        width = tensor.shape[1] if len(tensor.shape) == 2 else 1
        wrong = (i for i, v in enumerate(data) if not _fits(v, tensor.datatype))
        if some := list(islice(wrong, MOST_ERRORS)):
            told = f"must be {tensor.datatype}"
            raise invalid([Fault(told, i // width, tensor.name[:100]) for i in some])
        return data


def _fits(value: Any, datatype: str) -> bool:
    """Whether a value is of a datatype; null leaves out, and the columns say whether it may."""
    if value is None:
        return True
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if datatype in FLOATS:
        return type(value) in (int, float)
    sign, bits = WHOLE[datatype]
    low, high = (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return type(value) is int and max(low, -EXACT) <= value <= min(high, EXACT)


def _at(tensor: _Tensor, problem: str) -> Problem:
    return invalid([Fault(problem, None, tensor.name[:100])])


def metadata(name: str, version: str, columns: Columns, outputs: Mapping[str, Any]) -> Any:
    """Describe the model as the protocol has it: a tensor a column, names as BYTES."""
    return {
        "name": name,
        "versions": [version],
        "platform": "moatbench",
        "inputs": [
            {
                "name": feature,
                "datatype": "BYTES" if feature in columns.named else "FP64",
                "shape": [-1],
            }
            for feature in columns.names
        ],
        "outputs": [
            {"name": output, "datatype": kind, "shape": shape}
            for output, (kind, shape) in outputs.items()
        ],
    }

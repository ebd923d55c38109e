"""ONNX files for tests, written field by field: the library that converts models is not needed."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FLOAT, INT64, STRING = 1, 7, 8  # of TensorProto.DataType
KINDS = {"i": (2, 3), "s": (3, 4), "fs": (6, 7), "ss": (8, 9)}  # AttributeProto's type, and field


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: Any) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(name: str, kind: str, value: Any) -> bytes:
    code, number = KINDS[kind]
    values = value if len(kind) > 1 else [value]
    body = b"".join(field(number, v) for v in values)
    return field(1, name) + body + field(20, code)


def node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Sequence[bytes] = (),
    domain: str = "",
) -> bytes:
    body = b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs)
    return body + field(4, operator) + b"".join(field(5, a) for a in attributes) + field(7, domain)


def tensor(name: str, values: Any, external: str = "") -> bytes:
    """A constant; `external` names a file that holds it instead."""
    array = np.ascontiguousarray(values, dtype=np.float32)
    dims = b"".join(field(1, int(n)) for n in array.shape)
    if external:
        place = field(13, field(1, "location") + field(2, external)) + field(14, 1)
        return dims + field(2, FLOAT) + field(8, name) + place
    return dims + field(2, FLOAT) + field(8, name) + field(9, array.tobytes())


def value(name: str, kind: int, width: int | None, rows: int | None = None) -> bytes:
    """An input or output (n, width); a width of None is a vector (n,), rows of None any number."""
    sizes = [field(2, "n") if rows is None else field(1, rows)] + (
        [] if width is None else [field(1, width)]
    )
    shape = b"".join(field(1, s) for s in sizes)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def model(
    nodes: Sequence[bytes],
    inputs: Mapping[str, tuple[int, int | None] | tuple[int, int, int | None]],
    outputs: Sequence[bytes],
    constants: Sequence[bytes] = (),
) -> bytes:
    graph = b"".join(field(1, n) for n in nodes) + field(2, "g")
    graph += b"".join(field(5, c) for c in constants)
    graph += b"".join(field(11, value(k, *v)) for k, v in inputs.items())
    graph += b"".join(field(12, o) for o in outputs)
    plain, ml = field(1, "") + field(2, 17), field(1, "ai.onnx.ml") + field(2, 3)
    return field(1, 8) + field(7, graph) + field(8, plain) + field(8, ml)


def linear(coef: Any, intercept: Any, classes: Sequence[str], *, zipmap: bool = True) -> bytes:
    """A softmax regression as skl2onnx writes one: labels, and a dictionary of probabilities."""
    flat = np.asarray(coef, dtype=float)
    attributes = [
        attribute("coefficients", "fs", flat.ravel().tolist()),
        attribute("intercepts", "fs", np.asarray(intercept, dtype=float).tolist()),
        attribute("classlabels_strings", "ss", list(classes)),
        attribute("multi_class", "i", 1),
        attribute("post_transform", "s", "SOFTMAX"),
    ]
    nodes = [node("LinearClassifier", ["X"], ["label", "p"], attributes, "ai.onnx.ml")]
    told = value("p", FLOAT, len(classes))
    if zipmap:
        names = [attribute("classlabels_strings", "ss", list(classes))]
        nodes.append(node("ZipMap", ["p"], ["z"], names, "ai.onnx.ml"))
        # sequence(map(string, float))
        kind = field(4, field(1, field(5, field(1, STRING) + field(2, field(1, field(1, FLOAT))))))
        told = field(1, "z") + field(2, kind)
    outputs = [value("label", STRING, None), told]
    return model(nodes, {"X": (FLOAT, flat.shape[1])}, outputs)


def network(
    layers: Sequence[tuple[Any, Any]],
    link: str = "Softmax",
    *,
    external: str = "",
    rows: int | None = None,
) -> bytes:
    """A network of relu layers, each of weights (d, h) and bias (h,); it takes so many rows."""
    nodes, constants, last = [], [], "X"
    for i, (weights, bias) in enumerate(layers):
        constants += [tensor(f"w{i}", weights, external), tensor(f"b{i}", bias)]
        nodes.append(node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"]))
        last = f"z{i}"
        if i < len(layers) - 1:
            nodes.append(node("Relu", [last], [f"r{i}"]))
            last = f"r{i}"
    nodes.append(node(link, [last], ["p"]))
    first, k = np.asarray(layers[0][0]), len(layers[-1][1])
    return model(nodes, {"X": (FLOAT, first.shape[0], rows)}, [value("p", FLOAT, k)], constants)

"""What an ONNX file says of itself, read from its protobuf: no library, and nothing is run.

Only what is needed: operators with their attributes and the shapes of their weights, and which
weights lie in other files. Field numbers are those of onnx.proto.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protobuf
# ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, StringStringEntryProto
GRAPH, NODE, INITIALISER = 7, 1, 5
INPUT, OPERATOR, ATTRIBUTE = 1, 4, 5
DIMS, TENSOR_NAME = 1, 8
NAME, WHOLE, WORD, INTS, STRINGS = 1, 3, 4, 8, 9
EXTERNAL, KEY, VALUE = 13, 1, 2


@dataclass(frozen=True)
class Node:
    """An operator of a graph.

    Args:
        operator: its name.
        attributes: those that are words or whole numbers.
        weights: the shapes of those of its inputs that are constants.
    """

    operator: str
    attributes: dict[str, Any] = field(default_factory=dict)
    weights: tuple[tuple[int, ...], ...] = ()


def nodes(model: bytes) -> list[Node]:
    """List the operators of a model.

    Raises:
        ValueError: the bytes are no protobuf.
    """
    graph = _one(model, GRAPH)
    shapes = {
        _one(tensor, TENSOR_NAME): tuple(_numbers(tensor, DIMS))
        for tensor in _all(graph, INITIALISER)
    }
    return [_node(data, shapes) for data in _all(graph, NODE)]


def other_files(model: bytes) -> list[str]:
    """Name the files beside a model in which it keeps weights."""
    found = []
    for tensor in _all(_one(model, GRAPH), INITIALISER):
        for entry in _all(tensor, EXTERNAL):
            if _one(entry, KEY) == b"location":
                found.append(_one(entry, VALUE).decode(errors="replace"))
    return sorted(set(found))


def _node(data: bytes, shapes: dict[bytes, tuple[int, ...]]) -> Node:
    attributes = {}
    for attribute in _all(data, ATTRIBUTE):
        texts = [t.decode(errors="replace") for t in _all(attribute, STRINGS)]
        whole = _numbers(attribute, INTS)
        single = [n for number, n in _fields(attribute) if number in (WHOLE, WORD)]
        one = [s.decode(errors="replace") if isinstance(s, bytes) else _signed(s) for s in single]
        attributes[_one(attribute, NAME).decode()] = texts or whole or (one[0] if one else None)
    weights = tuple(shapes[name] for name in _all(data, INPUT) if name in shapes)
    return Node(_one(data, OPERATOR).decode(), attributes, weights)


def _numbers(message: bytes, number: int) -> list[int]:
    """Return the whole numbers of a field, packed or not."""
    items = [value for n, value in _fields(message) if n == number]
    return [_signed(n) for item in items for n in _unpacked(item)]


def _one(message: bytes, number: int) -> bytes:
    return next(iter(_all(message, number)), b"")


def _all(message: bytes, number: int) -> list[bytes]:
    return [v for n, v in _fields(message) if n == number and isinstance(v, bytes)]


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the content of each field."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError("no protobuf")
        if at + size > len(message):
            raise ValueError("cut off")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            break
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("cut off")


def _unpacked(item: Any) -> list[int]:
    """Return whole numbers that were packed into one field, or the single one."""
    if isinstance(item, int):
        return [item]
    found, at = [], 0
    while at < len(item):
        value, at = _varint(item, at)
        found.append(value)
    return found


def _signed(value: int) -> int:
    return int(struct.unpack("<q", struct.pack("<Q", value))[0])

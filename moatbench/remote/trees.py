"""Trees of JSON: tensors of v2, templates with placeholders, and JMESPaths into answers."""

from collections.abc import Mapping, Sequence
from typing import Any


def tensor(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return a column as a tensor of v2."""
    kinds = {type(value) for value in values if value is not None}
    datatype = (
        "BOOL"
        if kinds == {bool}
        else "INT64"
        if kinds == {int}
        else "FP64"
        if kinds <= {int, float}
        else "BYTES"
    )
    shape = [len(values), 1]
    return {"name": name, "shape": shape, "datatype": datatype, "data": list(values)}


def nested(tensor: Mapping[str, Any], n: int) -> list[Any]:
    """Return the data of a tensor by row, whether it came flat or nested."""
    data = tensor["data"]
    if len(tensor["shape"]) == 1 or tensor["shape"][1] == 1:
        return [v[0] if isinstance(v, list) else v for v in data]
    if data and isinstance(data[0], list):
        return list(data)
    width = int(tensor["shape"][1])
    if len(data) != n * width:
        raise ValueError(f"{n} rows of {width} numbers were expected, got {len(data)} numbers")
    return [data[i * width : (i + 1) * width] for i in range(n)]


def searched(path: str | None, answer: Any, n: int) -> Any:
    """Return what a JMESPath finds for n rows; None without a path."""
    if path is None:
        return None
    found = compiled(path).search(answer)
    if found is None:
        raise ValueError(f"{path} matches nothing")
    return found if isinstance(found, list) or n > 1 else [found]


def compiled(path: str) -> Any:
    """Return a JMESPath that is one; a ValueError says why it is none."""
    try:
        import jmespath
    except ModuleNotFoundError:
        raise ValueError(
            "victim.protocol=template needs jmespath, which is not installed; run: "
            "pip install 'moatbench[remote]'"
        ) from None
    try:
        return jmespath.compile(path)
    except jmespath.exceptions.ParseError as error:
        told = " ".join(str(error).split())
        raise ValueError(f"victim: {path!r} must be a JMESPath, got: {told}") from None


def leaves(tree: Any) -> list[str]:
    """Return the words that stand as values in a tree."""
    if isinstance(tree, Mapping):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in leaves(value)]
    return [tree] if isinstance(tree, str) else []


def filled(tree: Any, values: Mapping[str, Any]) -> Any:
    """Return a tree with words that are keys replaced by their values."""
    if isinstance(tree, Mapping):
        return {key: filled(value, values) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [filled(value, values) for value in tree]
    return values.get(tree, tree) if isinstance(tree, str) else tree

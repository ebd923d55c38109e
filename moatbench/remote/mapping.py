"""What is sent to an endpoint, and where in its answer the predictions stand: three protocols.

MLflow's /invocations, the Open Inference Protocol v2, and a template for the rest: a request as a
tree of JSON with placeholders, and JMESPath for the answer.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from moatbench.knobs import check_choice
from moatbench.remote.address import Place

KINDS = ("mlflow", "v2", "template")
INVOCATIONS, INFER = "/invocations", "/infer"
PLACEHOLDERS = ("rows", "records", "columns", "index", "by_column", "n", "row", "record")
SINGLE = ("$row", "$record")
PROBABILITIES, LABELS = "predict_proba", "predict"  # outputs of v2, as MLServer names them
SHOWN = 300  # characters of an answer that nobody understands


class Unreadable(ValueError):
    """An answer that holds no prediction where the protocol has it."""


class Told(NamedTuple):
    """What an endpoint answered to a row, as it stands there; None is nothing."""

    label: Any
    outputs: Any

    @property
    def refused(self) -> bool:
        """Whether the row got no answer."""
        return self.label is None and self.outputs is None


@dataclass(frozen=True)
class Mapped:
    """A protocol, with what an owner says of it.

    Args:
        kind: one of `KINDS`.
        request: of a template, a tree with placeholders that are whole values, as "$records".
        probabilities: of a template, a JMESPath to n lists, objects or numbers.
        labels: of a template, a JMESPath to n labels.
        outputs: of v2, the names of those that are asked for; () asks for none by name.
        refusals: whether rows may get no answer: null, or the problem `refused` for all of them.
    """

    kind: str
    request: Any = None
    probabilities: str | None = None
    labels: str | None = None
    outputs: tuple[str, ...] = (LABELS, PROBABILITIES)
    refusals: bool = False

    def __post_init__(self) -> None:
        check_choice("victim.protocol", self.kind, KINDS)
        paths = self.probabilities, self.labels
        if self.kind != "template":
            if self.request is not None or any(paths):
                raise ValueError(
                    "victim.request, probabilities and labels must be null unless victim.protocol="
                    f"template, got them with {self.kind}"
                )
            return
        found = set(_leaves(self.request))
        unknown = sorted(f for f in found if f.startswith("$") and f[1:] not in PLACEHOLDERS)
        known = ", ".join(f"${name}" for name in PLACEHOLDERS)
        if unknown or not any(f.startswith("$") for f in found):
            got = ", ".join(unknown) or json.dumps(self.request)
            raise ValueError(f"victim.request must hold placeholders of {known}, got {got}")
        if not any(paths):
            raise ValueError(
                "victim.probabilities or victim.labels must be a JMESPath into the answer, got "
                "neither; for example victim.probabilities='predictions[].scores'"
            )
        for path in filter(None, paths):
            _compiled(path)

    @property
    def single(self) -> bool:
        """Whether a request takes one row."""
        return self.kind == "template" and bool({*SINGLE} & set(_leaves(self.request)))

    def at(self, place: Place) -> Place:
        """Return where to post: the protocol's own route, where the address does not name it."""
        ending = {"mlflow": INVOCATIONS, "v2": INFER}.get(self.kind, "")
        path, mark, query = place.path.partition("?")
        if not ending or path.endswith(ending):
            return place
        if self.kind == "v2" and "/models/" not in path:
            raise ValueError(
                f"victim.url must name the model, http://HOST/v2/models/NAME, got {path!r}"
            )
        return place._replace(path=f"{path.rstrip('/')}{ending}{mark}{query}")

    def body(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        """Return the request for rows, given by column."""
        names, rows = list(columns), [list(row) for row in zip(*columns.values(), strict=True)]
        if self.kind == "mlflow":
            return {"dataframe_split": {"columns": names, "data": rows}}
        if self.kind == "v2":
            asked = {"outputs": [{"name": name} for name in self.outputs]} if self.outputs else {}
            return {"inputs": [_tensor(name, columns[name]) for name in names], **asked}
        records = [dict(zip(names, row, strict=True)) for row in rows]
        values: dict[str, Any] = {
            "rows": rows,
            "records": records,
            "columns": names,
            "index": list(range(len(rows))),
            "by_column": {name: list(values) for name, values in columns.items()},
            "n": len(rows),
            "row": rows[0],
            "record": records[0],
        }
        return _filled(self.request, {f"${name}": value for name, value in values.items()})

    def read(self, answer: Any, n: int) -> list[Told]:
        """Return what was answered to each of n rows.

        Raises:
            Unreadable: shows the answer.
        """
        try:
            labels, outputs = self._found(answer, n)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise Unreadable(_unread(answer, str(error))) from None
        if labels is None and outputs is None:
            raise Unreadable(_unread(answer, "no predictions in it"))
        for values in (labels, outputs):
            if values is not None and (not isinstance(values, list) or len(values) != n):
                held = len(values) if isinstance(values, list) else type(values).__name__
                raise Unreadable(_unread(answer, f"{n} predictions were expected, got {held}"))
        none = [None] * n
        told = [Told(*pair) for pair in zip(labels or none, outputs or none, strict=True)]
        if not self.refusals and any(one.refused for one in told):
            raise Unreadable(_unread(answer, "some rows were refused"))
        return told

    def _found(self, answer: Any, n: int) -> tuple[Any, Any]:
        """Return labels and outputs, None for what there is not."""
        if self.kind == "template":
            return _searched(self.labels, answer, n), _searched(self.probabilities, answer, n)
        if self.kind == "mlflow":
            if isinstance(answer, list):  # as Azure answers
                return None, answer
            return answer.get("labels"), answer["predictions"]
        tensors = {one["name"]: one for one in answer["outputs"]}
        wide = [
            name for name, one in tensors.items() if len(one["shape"]) == 2 and one["shape"][1] > 1
        ]
        proba = PROBABILITIES if PROBABILITIES in tensors else next(iter(wide), None)
        flat = next((name for name in tensors if name != proba), None)
        labels = None if flat is None else _nested(tensors[flat], n)
        outputs = None if proba is None else _nested(tensors[proba], n)
        # A single number a row may be a label or a probability: who reads it finds out
        return (labels, outputs) if outputs is not None else (None, labels)


def _tensor(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return a column as a tensor of v2."""
    kinds = {type(value) for value in values}
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


def _nested(tensor: Mapping[str, Any], n: int) -> list[Any]:
    """Return the data of a tensor by row, whether it came flat or nested."""
    data = tensor["data"]
    if len(tensor["shape"]) == 1 or tensor["shape"][1] == 1:
        return [v[0] if isinstance(v, list) else v for v in data]
    if data and isinstance(data[0], list):
        return list(data)
    width = int(tensor["shape"][1])
    return [data[i * width : (i + 1) * width] for i in range(n)]


def _searched(path: str | None, answer: Any, n: int) -> Any:
    if path is None:
        return None
    found = _compiled(path).search(answer)
    if found is None:
        raise ValueError(f"{path} matches nothing")
    return found if isinstance(found, list) or n > 1 else [found]


def _compiled(path: str) -> Any:
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


def _leaves(tree: Any) -> list[str]:
    if isinstance(tree, Mapping):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in _leaves(value)]
    return [tree] if isinstance(tree, str) else []


def _filled(tree: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _filled(value, values) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_filled(value, values) for value in tree]
    return values.get(tree, tree) if isinstance(tree, str) else tree


def _unread(answer: Any, why: str) -> str:
    keys = (
        f", with the keys {', '.join(map(str, answer))}"[:200] if isinstance(answer, dict) else ""
    )
    text = json.dumps(answer)[:SHOWN]
    return f"the answer cannot be read ({why}){keys}: {text}"


def plain(value: Any) -> Any:
    """Return a value of a frame as JSON has it: whole numbers whole, what is missing null."""
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)

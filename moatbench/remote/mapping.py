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
from moatbench.remote.trees import compiled, filled, leaves, nested, searched, tensor

KINDS = ("mlflow", "v2", "template")
INVOCATIONS, INFER = "/invocations", "/infer"
PLACEHOLDERS = ("rows", "records", "columns", "index", "by_column", "n", "row", "record")
SINGLE = ("$row", "$record")
PROBABILITIES, LABELS = "predict_proba", "predict"  # outputs of v2, as MLServer names them
SHOWN = 300  # characters of an answer that nobody understands
HAS_DEFENSE = "it has a defense of its own: say victim.defended=true, and see docs/remote.md"


class Unreadable(ValueError):
    """An answer that holds no prediction where the protocol has it."""


class Told(NamedTuple):
    """What an endpoint answered to a row, as it stands there; None is nothing."""

    label: Any
    outputs: Any
    fields: Any = None  # names of the features that were tested on the way

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
        fields: of a template, a JMESPath to n lists of the features tested on the way.
        full: whether outputs are whole distributions, which sum to 1.
    """

    kind: str
    request: Any = None
    probabilities: str | None = None
    labels: str | None = None
    outputs: tuple[str, ...] = (LABELS, PROBABILITIES)
    refusals: bool = False
    fields: str | None = None
    full: bool = True

    def __post_init__(self) -> None:
        check_choice("victim.protocol", self.kind, KINDS)
        paths = self.probabilities, self.labels
        if self.fields is not None and self.kind == "template":
            compiled(self.fields)
        if self.kind != "template":
            if self.request is not None or any(paths):
                raise ValueError(
                    "victim.request, probabilities and labels must be null unless victim.protocol="
                    f"template, got them with {self.kind}"
                )
            return
        found = set(leaves(self.request))
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
            compiled(path)

    @property
    def single(self) -> bool:
        """Whether a request takes one row."""
        return self.kind == "template" and bool({*SINGLE} & set(leaves(self.request)))

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
            return {"inputs": [tensor(name, columns[name]) for name in names], **asked}
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
        return filled(self.request, {f"${name}": value for name, value in values.items()})

    def read(self, answer: Any, n: int) -> list[Told]:
        """Return what was answered to each of n rows.

        Raises:
            Unreadable: shows the answer.
        """
        try:
            labels, outputs = self._found(answer, n)
            fields = self._fields(answer, n)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise Unreadable(_unread(answer, str(error))) from None
        if labels is None and outputs is None:
            raise Unreadable(_unread(answer, "no predictions in it"))
        for values in (labels, outputs, fields):
            if values is not None and (not isinstance(values, list) or len(values) != n):
                held = len(values) if isinstance(values, list) else type(values).__name__
                raise Unreadable(_unread(answer, f"{n} predictions were expected, got {held}"))
        none = [None] * n
        parts = labels or none, outputs or none, fields or none
        told = [Told(*row) for row in zip(*parts, strict=True)]
        if not self.refusals and any(one.refused for one in told):
            raise Unreadable(_unread(answer, f"some rows were refused; {HAS_DEFENSE}"))
        return told

    def _fields(self, answer: Any, n: int) -> Any:
        """Return the features that were tested on the way to each answer; None where none tells."""
        if self.kind == "mlflow":
            return answer.get("fields") if isinstance(answer, dict) else None
        return searched(self.fields, answer, n)

    def _found(self, answer: Any, n: int) -> tuple[Any, Any]:
        """Return labels and outputs, None for what there is not."""
        if self.kind == "template":
            return searched(self.labels, answer, n), searched(self.probabilities, answer, n)
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
        labels = None if flat is None else nested(tensors[flat], n)
        outputs = None if proba is None else nested(tensors[proba], n)
        # A single number a row may be a label or a probability: who reads it finds out
        return (labels, outputs) if outputs is not None else (None, labels)


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

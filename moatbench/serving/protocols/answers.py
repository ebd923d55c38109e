"""How answers are written: MLflow's predictions, and v2's outputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from moatbench.client import Answers
from moatbench.serving.protocols.tensors import Wanted
from moatbench.types import Rows

NUMPY = orjson.OPT_SERIALIZE_NUMPY


class Writer:
    """Writes what was told; NaN becomes null.

    Args:
        name: of the model.
        classes: the names of the classes; one is a regression.
        confidences: whether answers carry outputs, as the card says.
        columns: the feature that each column of rows belongs to.
    """

    def __init__(
        self, name: str, classes: Sequence[str], confidences: bool, columns: Sequence[str] = ()
    ) -> None:
        self.name, self.regression = name, len(classes) == 1
        self.confidences, self._columns = confidences, columns
        whole = all(c.removeprefix("-").isdecimal() and str(int(c)) == c for c in classes)
        self.classes: list[Any] = [int(c) for c in classes] if whole else list(classes)
        self._kind = "INT64" if whole else "BYTES"

    @property
    def outputs(self) -> dict[str, tuple[str, list[int]]]:
        """The outputs of v2: datatype and shape of each."""
        if self.regression:
            return {"predict": ("FP64", [-1])}
        found: dict[str, tuple[str, list[int]]] = {"predict": (self._kind, [-1])}
        if self.confidences:
            found["predict_proba"] = ("FP64", [-1, len(self.classes)])
        return found

    def mlflow(self, told: Answers, n: int, rounded: Rows) -> bytes:
        """Write predictions for n rows: confidences where the API tells them, else labels.

        Beside them stand `labels`, as a label is never made of confidences; `fields`, where a
        model tells which features it tested; and where there are such rows, `refused` (null in
        their places) and `rounded`, which were answered at the nearest step.
        """
        body: dict[str, Any] = {"predictions": self._predictions(told, n)}
        if self.confidences and not self.regression:
            body["labels"] = self._labels(told, n)
        if told.path is not None:
            body["fields"] = self._fields(told, n)
        if len(told.rows) < n:
            body["refused"] = _refused(told, n)
        if len(rounded):
            body["rounded"] = rounded.tolist()
        return orjson.dumps(body, option=NUMPY)

    def v2(self, told: Answers, n: int, rounded: Rows, wanted: Wanted) -> bytes:
        """Write the outputs that a request asks for."""
        outputs = []
        for name in wanted.outputs:
            kind, shape = self.outputs[name]
            whole = [n, *shape[1:]]
            if name == "predict_proba":
                data: Any = _filled(told, n, len(self.classes)).ravel()
            elif self.regression:
                data = _filled(told, n, 1).ravel()
            else:
                data = self._labels(told, n)
            outputs.append({"name": name, "shape": whole, "datatype": kind, "data": data})
        body: dict[str, Any] = {"model_name": self.name, "model_version": "1", "outputs": outputs}
        if wanted.id is not None:
            body["id"] = wanted.id
        said = {"refused": _refused(told, n)} if len(told.rows) < n else {}
        if len(rounded):
            said["rounded"] = rounded.tolist()
        if said:  # the protocol's parameters are plain values
            body["parameters"] = {key: orjson.dumps(rows).decode() for key, rows in said.items()}
        return orjson.dumps(body, option=NUMPY)

    def _predictions(self, told: Answers, n: int) -> Any:
        if not self.confidences:
            return self._labels(told, n)
        k = 1 if self.regression else len(self.classes)
        outputs = _filled(told, n, k) if len(told.rows) < n or told.outputs is None else None
        if outputs is None:
            outputs = np.ascontiguousarray(told.outputs)
        if self.regression:
            return outputs[:, 0]
        if len(told.rows) == n:
            return outputs
        rows: list[Any] = [None] * n
        for row in told.rows.tolist():
            rows[row] = outputs[row]
        return rows

    def _fields(self, told: Answers, n: int) -> list[Any]:
        """Name the features that were tested on the way to each answer."""
        rows: list[Any] = [None] * n
        assert told.path is not None
        for row, tested in zip(told.rows.tolist(), told.path, strict=True):
            if not np.isnan(tested).any():
                names = [self._columns[place] for place in np.flatnonzero(tested).tolist()]
                rows[row] = list(dict.fromkeys(names))
        return rows

    def _labels(self, told: Answers, n: int) -> list[Any]:
        labels: list[Any] = [None] * n
        for row, label in zip(told.rows.tolist(), told.labels.tolist(), strict=True):
            labels[row] = self.classes[label]
        return labels


def _filled(told: Answers, n: int, k: int) -> Any:
    """(n, k) the outputs in their rows' places, NaN elsewhere."""
    whole = np.full((n, k), np.nan)
    if told.outputs is not None:
        whole[told.rows] = told.outputs
    return whole


def _refused(told: Answers, n: int) -> list[int]:
    return sorted(set(range(n)) - set(told.rows.tolist()))

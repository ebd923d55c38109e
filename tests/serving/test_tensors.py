"""Bodies of the Open Inference Protocol v2."""

import json
from typing import Any

import numpy as np
import pytest

from moatbench.serving.protocols.bodies import JSON
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.protocols.tensors import Tensors, Wanted
from moatbench.space import Categorical, InputSpace, Numeric

SPACE = InputSpace((Numeric("age", 17, 90, 1), Numeric("gain", 0, 1000)))
MIXED = InputSpace(
    (Numeric("age", 17, 90, 1), Categorical("job", ("clerk", "cook"), one_hot=False))
)


def tensor(data: Any, shape: list[int], datatype: str = "FP64", name: str = "x") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def read(*tensors: Any, space: InputSpace = SPACE, partial: bool = False, **more: Any) -> Wanted:
    reader = Tensors(Columns(space, partial), 100, ["predict", "predict_proba"])
    return reader.read(json.dumps({"inputs": tensors} | more).encode(), JSON)


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64"])
@pytest.mark.parametrize("data", [[20, 1, 30, 2], [[20, 1], [30, 2]]], ids=["flat", "nested"])
def test_one_tensor_holds_all_columns(data: Any, datatype: str) -> None:
    wanted = read(tensor(data, [2, 2], datatype), id="7", outputs=[{"name": "predict"}])
    assert wanted.x.tolist() == [[20, 1], [30, 2]]
    assert (wanted.id, wanted.outputs) == ("7", ["predict"])


def test_a_tensor_a_column_stands_by_its_name() -> None:
    job, age = tensor(["cook"], [1, 1], "BYTES", "job"), tensor([20], [1], "INT64", "age")
    assert read(job, age, space=MIXED).x.tolist() == [[20, 1]]
    assert np.isnan(read(tensor([None], [1], name="age"), partial=True).x).all()


@pytest.mark.parametrize(
    "tensors",
    [
        [],
        [tensor([20.5, 1], [1, 2], "INT64")],
        [tensor([20, 1], [2, 2])],
        [tensor([20, 1, 2], [1, 3])],
        [tensor([[20], [1, 2]], [2, 2])],
        [tensor([20, "1"], [1, 2])],
        [tensor([20, True], [1, 2])],
        [tensor([20, None], [1, 2])],
        [tensor([20, float("nan")], [1, 2])],
        [tensor([20, 1], [1, 2], "FP128")],
        [tensor([20, 1], [1, 1, 2])],
        [tensor([20, 1], [-1, 2])],
        [tensor([], [0, 2])],
        [tensor([20, 1], [2**40, 2**40])],
        [tensor(3, [1, 2])],
        [tensor([20], [1], name="age")],
        [tensor([20], [1], name="age"), tensor([20], [1], name="age")],
        [tensor([20], [1], name="age"), tensor([1, 2], [2], name="gain")],
        [tensor([300], [1], "UINT8", "age"), tensor([1], [1], name="gain")],
        [{"name": "x", "shape": [1, 2], "data": [20, 1]}],
        [3],
    ],
)
def test_a_bad_tensor_has_a_reason(tensors: list[Any]) -> None:
    with pytest.raises(Problem) as caught:
        read(*tensors)
    assert caught.value.status in (400, 413, 422)
    assert json.loads(caught.value.body("/v2/models/m/infer"))["error"]


def test_an_output_that_is_not_there_is_refused() -> None:
    with pytest.raises(Problem, match="outputs must be among predict, predict_proba, got 'logits'"):
        read(tensor([20, 1], [1, 2]), outputs=[{"name": "logits"}])

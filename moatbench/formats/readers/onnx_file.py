"""Models in ONNX files, asked through onnxruntime on one thread."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.formats.model import Model, require
from moatbench.formats.readers.onnx_graph import Node, nodes, other_files

NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
TEXT = "tensor(string)"
LINEAR, TREES = "LinearClassifier", "TreeEnsembleClassifier"
PRODUCTS = {"MatMul", "Gemm"}
MAKERS = {LINEAR, TREES, *PRODUCTS}
BENDS = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "logistic"}
# What is affine, or acts on each column of names by itself
STEADY = {
    *("Add", "ArrayFeatureExtractor", "Cast", "CategoryMapper", "Concat", "Div", "Flatten"),
    *("FeatureVectorizer", "Gather", "Identity", "Imputer", "LabelEncoder", "Mul", "OneHotEncoder"),
    *("Reshape", "Scaler", "Shape", "Squeeze", "Sub", "Unsqueeze"),
}


def open_onnx(path: Path) -> Model:
    """Open an ONNX file, or the folder of one that keeps its weights in files beside it.

    Raises:
        ValueError: it is none, or names files beside it though it was given without its folder.
    """
    require("onnxruntime", "onnx", "ONNX")
    import onnxruntime

    folder = path.is_dir()
    file = next(path.glob("*.onnx")) if folder else path
    content = file.read_bytes()
    try:
        graph, beside = nodes(content), other_files(content)
    except ValueError as error:
        raise ValueError(f"victim.path must be a file of ONNX, got {path} ({error})") from error
    if beside and not folder:
        raise ValueError(
            f"victim.path keeps weights in {', '.join(beside[:3])} beside it, got {path} alone; "
            "give the folder that holds them all, and nothing else"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(file) if folder else content, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of onnxruntime's own kinds
        raise ValueError(f"victim.path must be a file of ONNX, got {path} ({error})") from error
    return _model(session, graph)


def _model(session: Any, graph: list[Node]) -> Model:
    inputs, told = session.get_inputs(), _output(session, graph)
    single = len(inputs) == 1 and _width(inputs[0]) != 1
    columns = None if single else tuple(i.name for i in inputs)
    family, architecture = _family(graph)
    at_once = next((i.shape[0] for i in inputs if i.shape and isinstance(i.shape[0], int)), None)

    def ask(asked: Any) -> Any:
        return run(asked) if at_once is None else _in_parts(run, asked, at_once)

    def run(asked: Any) -> Any:
        if single:
            fed = {inputs[0].name: _fed(asked, inputs[0].type)}
        else:
            fed = {i.name: _fed(asked[[i.name]], i.type) for i in inputs}
        return session.run([told], fed)[0]

    return Model(
        ask,
        f"ONNX, {len(graph)} operators",
        columns=columns,
        width=_width(inputs[0]) if single else len(inputs),
        classes=_classes(graph),
        family=family,
        architecture=architecture,
    )


def _in_parts(run: Callable[[Any], Any], asked: Any, size: int) -> Any:
    """Ask a model that takes so many rows at once and no others; the last row fills up."""
    answers = []
    for start in range(0, len(asked), size):
        rows = np.minimum(np.arange(start, start + size), len(asked) - 1)
        answers.append(run(asked.iloc[rows] if hasattr(asked, "iloc") else asked[rows]))
    if isinstance(answers[0], list):
        return [row for part in answers for row in part][: len(asked)]
    return np.concatenate(answers)[: len(asked)]


def _width(tensor: Any) -> int | None:
    """Say how many columns an input takes; None where it is free."""
    width = tensor.shape[1] if len(tensor.shape) == 2 else None
    return width if isinstance(width, int) else None


def _fed(asked: Any, kind: str) -> Any:
    """Return columns as the tensor of an input's type."""
    if kind == TEXT:
        return np.asarray(asked, dtype=object).astype(str).astype(object)
    if kind not in NUMBERS:
        raise ValueError(
            f"victim.path must take numbers or words, got an ONNX input of {kind}; convert the "
            "model with inputs of float, double, int64, bool or string"
        )
    values = np.asarray(asked, dtype=np.float64)
    if kind in ("tensor(int64)", "tensor(int32)") and (values != np.rint(values)).any():
        raise ValueError(
            f"the model takes whole numbers, got {values[values != np.rint(values)][0]:g}; it "
            "would be cut to one without a word: convert it with inputs of float or double"
        )
    return np.ascontiguousarray(values.astype(NUMBERS[kind]))


def _output(session: Any, graph: list[Node]) -> str:
    """Choose the output with confidences; the labels, where there are scores or labels alone."""
    outputs = session.get_outputs()
    soft = [o.name for o in outputs if "float" in o.type or "double" in o.type]
    hard = [o.name for o in outputs if o.name not in soft]
    scores = any(n.operator == LINEAR and _link(n) == "NONE" for n in graph)
    return str(hard[0] if hard and (scores or not soft) else soft[-1])


def _classes(graph: list[Node]) -> tuple[Any, ...] | None:
    """Return the classes that the last operator which names some gives to its outputs."""
    for node in reversed(graph):
        for name in ("classlabels_strings", "classlabels_int64s", "classlabels_ints"):
            if found := node.attributes.get(name):
                return tuple(found)
    return None


def _family(graph: list[Node]) -> tuple[str | None, dict[str, Any]]:
    """Recognise trees, linear models and networks of one hidden layer.

    Behind other steps than those that change each column alone, none is recognised.
    """
    makers = [n for n in graph if n.operator in MAKERS]
    before = graph[: graph.index(makers[0])] if makers else graph
    if not makers or any(n.operator not in STEADY for n in before):
        return None, {}
    kinds = {n.operator for n in makers}
    if kinds <= PRODUCTS:
        return _network(makers, graph)
    if len(makers) != 1:
        every = {_link(n) for n in makers}
        return ("one_vs_rest" if kinds == {LINEAR} and every == {"LOGISTIC"} else None), {}
    if kinds == {LINEAR}:
        return ("linear_svm" if _link(makers[0]) == "NONE" else "softmax"), {}
    if _link(makers[0]) != "NONE":
        return "gradient_boosting", {}
    many = len(set(makers[0].attributes.get("nodes_treeids") or [])) > 1
    return ("random_forest" if many else "tree"), {}


def _network(products: list[Node], graph: list[Node]) -> tuple[str | None, dict[str, Any]]:
    """Recognise a network by its products of matrices, and what stands between two of them."""
    if len(products) == 1:
        return "softmax", {}
    between = graph[graph.index(products[0]) : graph.index(products[-1])]
    bends = [n.operator for n in between if n.operator not in {*STEADY, *PRODUCTS}]
    if len(products) != 2 or len(bends) != 1 or bends[0] not in BENDS:
        return None, {}
    first, shapes = products[0], products[0].weights
    if not shapes or len(shapes[0]) != 2:
        return None, {}
    hidden = shapes[0][0 if first.attributes.get("transB") else 1]
    return "mlp", {"hidden": hidden, "activation": BENDS[bends[0]]}


def _link(node: Node) -> str:
    return str(node.attributes.get("post_transform") or "NONE")

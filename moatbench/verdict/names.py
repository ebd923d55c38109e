"""Names for readers in place of names in code: the one place that knows them."""

import re
from collections.abc import Sequence

SPELT = {  # as their papers or makers write them, where the words of the code do not tell
    "none": "No defense",
    "label_only": "Labels only",
    "dadd": "D-ADD",
    "grad2": "GRAD²",
    "jbda_tr": "JBDA-TR",
    "mad_argmax": "MAD-argmax",
    "modelguard_s": "ModelGuard-S",
    "modelguard_w": "ModelGuard-W",
    "top_k": "Top-k",
    "lowd_meek": "Lowd-Meek",
    "bigml_tree": "BigML tree",
    "mlflow": "MLflow model",
    "model": "Model file",
    "module": "PyTorch module",
    "poly_svm": "Polynomial SVM",
    "skops": "skops model",
    "breast_cancer_wisconsin": "Breast cancer Wisconsin",
    "csv": "CSV file",
    "gss": "General Social Survey",
    "openml": "OpenML",
}
CAPITALS = (
    *("art", "bdpl", "cnn", "dawn", "dcp", "dfal", "dp", "edm", "fee", "hoda", "http", "idx"),
    *("jbda", "mad", "mlp", "npz", "prada", "rbf", "s4l", "seat", "svm"),
)
WORDS = {word: word.upper() for word in CAPITALS} | {
    "activethief": "ActiveThief",
    "hist": "histogram",
    "kcenter": "k-center",
    "mnist5k": "MNIST-5k",
    "top1": "top-1",
    "vardetect": "VarDetect",
}
BETWEEN = re.compile(r", (?![^()]*\))")  # names, not the knobs of one
HOST = re.compile(r"[\w.-]+:\d+|\[[0-9a-f:]+\]:\d+|\d+(?:\.\d+){3}")  # as an address names it
KNOB = re.compile(r"(?<=[ (])[\w.]+=")  # the name of one
BEHIND = re.compile(r" (?:\(|\+\d)")  # a name: its knobs, or how many are like it


def shown(code: str) -> str:
    """Return the name that readers are shown for a part; a stranger's is made readable.

    Knobs and counts behind it stay (`mad (epsilon=1.0) +6`), and of a stack each layer is named.
    """
    end = found.start() if (found := BEHIND.search(code)) else len(code)
    layers = [_one(layer) for layer in code[:end].split("+")]
    return " + ".join(layers) + code[end:]


def all_shown(codes: str) -> str:
    """Return the same of several names in a row, `mad, prada`."""
    return ", ".join(shown(code) for code in BETWEEN.split(codes))


def folded(codes: Sequence[str], letters: int) -> str:
    """Name several as one, as many as fit into so many letters: `PRADA, SEAT, +9`.

    Where not even one fits, its knobs go without their names: `Laplace noise (0.5)`.
    """
    names = [shown(code) for code in codes]
    names = [KNOB.sub("", name) if len(name) > letters else name for name in names]
    for count in range(len(names), 0, -1):
        more = f", +{len(names) - count}" if count < len(names) else ""
        if len(said := ", ".join(names[:count]) + more) <= letters:
            return said
    return f"{names[0][: max(1, letters - len(more) - 2)].rstrip()}..{more}"


def _one(code: str) -> str:
    if code in SPELT:
        return SPELT[code]
    if HOST.fullmatch(code):  # of a service
        return code
    last = code.rpartition(".")[2]  # of a class with its module
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", last).replace("_", " ")
    said = " ".join(WORDS.get(word, word) for word in apart.split())
    return said[:1].upper() + said[1:] or code

"""Models of scikit-learn in skops files, with a list of trusted types of our own; and pickles."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from moatbench.formats.model import Model, Names
from moatbench.formats.readers.estimator import estimator
from moatbench.formats.readers.sound_trees import require_sound
from moatbench.formats.sizes import check_size

# Scikit-learn's own, and NumPy's: none runs anything that a file says. Of trees see `sound_trees`;
# a search's scorers and folds are not asked when it predicts.
TRUSTED = {
    "builtins.object",  # this and numpy.number: types of columns to select
    "numpy.dtype",
    "numpy.number",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.metrics._classification.accuracy_score",
    "sklearn.metrics._classification.balanced_accuracy_score",
    "sklearn.metrics._classification.f1_score",
    "sklearn.metrics._classification.log_loss",
    "sklearn.metrics._ranking.roc_auc_score",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",
}
PARTIAL, CHECK = "functools.partial", ("sklearn.utils.validation", "check_array")


def open_skops(path: Path, names: Names, trusted: Sequence[str]) -> Model:
    """Open a skops file; no type in it is made that neither skops, nor we, nor `trusted` trust.

    Raises:
        ValueError: it is none, is larger unpacked than it should be, or holds other types.
    """
    import skops.io

    try:
        check_size(path)
        types = skops.io.get_untrusted_types(file=path)
        known = TRUSTED | ({PARTIAL} if PARTIAL in types and _partials_are_ours(path) else set())
        unknown = sorted(set(types) - set(trusted) - known)
        if unknown:
            raise ValueError(
                f"victim.path must hold trusted types only, got {', '.join(unknown)} in {path}; if "
                f"the file is yours, vouch for them with 'victim.trusted=[{','.join(unknown)}]'"
            )
        model = skops.io.load(path, trusted=sorted({*types, *trusted}))
    except (BadZipFile, KeyError) as error:
        raise ValueError(
            f"victim.path must be a file of skops, got {path} ({error}); save it with skops.io.dump"
        ) from error
    require_sound(model)
    return estimator(model, names)


def open_pickle(path: Path, names: Names) -> Model:
    """Unpickle a model that its owner vouches for: this runs whatever the file says."""
    import joblib

    return estimator(joblib.load(path), names)


def _partials_are_ours(path: Path) -> bool:
    """Whether each partial function is one of check_array, as HistGradientBoosting has."""
    with ZipFile(path) as archive:
        nodes = list(_nodes(json.loads(archive.read("schema.json"))))
    partial = [
        n for n in nodes if n.get("__loader__") == "PartialNode" or n.get("__class__") == "partial"
    ]
    functions = [n.get("content", {}).get("func", {}) for n in partial]
    return all((f.get("__module__"), f.get("__class__")) == CHECK for f in functions)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield each node of a schema."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)

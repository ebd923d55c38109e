"""The family of a scikit-learn model, as a function of its inputs; pipelines are looked through.

What its owner knows, attackers know too. A step before the model counts: what is affine leaves a
linear model linear, what acts on each column by itself and in order leaves trees trees. A model
behind any other step is of no family that is known.
"""

from collections.abc import Iterator
from typing import Any

Family = tuple[str | None, dict[str, Any]]

AFFINE = {
    *("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PCA", "TruncatedSVD"),
    *("SimpleImputer", "VarianceThreshold", "SelectKBest", "SelectPercentile", "SelectFromModel"),
    *("RFE", "RFECV", "SequentialFeatureSelector", "GaussianRandomProjection"),
    *("SparseRandomProjection", "FastICA", "MissingIndicator"),
}
NAMES = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}  # any function of a name is linear
MIXING = {"PCA", "TruncatedSVD", "GaussianRandomProjection", "SparseRandomProjection", "FastICA"}
IN_ORDER = {"QuantileTransformer", "PowerTransformer", "KBinsDiscretizer", "Binarizer"}
LINEAR_FAMILIES = {"softmax", "one_vs_rest", "linear_svm", "mlp"}
TREE_FAMILIES = {"tree", "random_forest", "gradient_boosting"}
ENSEMBLES = {
    "DecisionTreeClassifier": "tree",
    "ExtraTreeClassifier": "tree",
    "RandomForestClassifier": "random_forest",
    "ExtraTreesClassifier": "random_forest",
    "GradientBoostingClassifier": "gradient_boosting",
    "HistGradientBoostingClassifier": "gradient_boosting",
    # XGBoost's forests, too: their trees add log-odds
    **dict.fromkeys(("XGBClassifier", "XGBRFClassifier", "LGBMClassifier"), "gradient_boosting"),
    "CatBoostClassifier": "gradient_boosting",
}
LINEAR_LABELS = {"LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron"}
KERNELS = {"linear": "linear_svm", "poly": "poly_svm", "rbf": "rbf_svm"}
SEARCHES = {"GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"}


def family_of(model: Any, named: bool = False) -> Family:
    """Name the family and what is published with it; None where it is not known.

    Args:
        model: of scikit-learn, or like one.
        named: whether all that its encoders take are names to who asks it, numbers too.
    """
    steps, last = unwrapped(model)
    family, architecture = _of_estimator(last)
    if family in LINEAR_FAMILIES:
        keeps = all(_is_affine(step, named) for step in steps)
    elif family in TREE_FAMILIES:
        keeps = all(_is_in_order(step) for step in steps)
    else:  # a kernel depends on the scale of what it is given
        keeps = not steps
    return (family, architecture) if family and keeps else (None, {})


def unwrapped(model: Any) -> tuple[list[Any], Any]:
    """Return the steps before a model, from pipelines and searches, and the model itself."""
    steps: list[Any] = []
    while True:
        if _name(model) in SEARCHES and hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif _name(model) == "Pipeline":
            steps += [step for _, step in model.steps[:-1]]
            model = model.steps[-1][1]
        else:
            return steps, model


def encoded_columns(model: Any) -> int:
    """Count the columns that encoders of a model take for names."""
    parts = [part for step in unwrapped(model)[0] for part in parts_of(step)]
    return sum(len(part.categories_) for part in parts if _name(part) in NAMES)


def parts_of(step: Any) -> Iterator[Any]:
    """Yield the transformers that a step consists of."""
    if _name(step) == "Pipeline":
        inner = [one for _, one in step.steps]
    elif _name(step) == "ColumnTransformer":
        inner = [one for _, one, _ in step.transformers_]
    elif _name(step) == "FeatureUnion":
        inner = [one for _, one in step.transformer_list]
    else:
        if step is not None and not isinstance(step, str):  # neither passthrough nor drop
            yield step
        return
    for one in inner:
        yield from parts_of(one)


def _of_estimator(model: Any) -> Family:
    name = _name(model)
    if name in ENSEMBLES:
        return ENSEMBLES[name], {}
    if name in LINEAR_LABELS:
        return "linear_svm", {}
    k = len(getattr(model, "classes_", ()))
    if name == "LogisticRegression" or name == "LogisticRegressionCV":
        apart = k > 2 and (
            getattr(model, "solver", "") == "liblinear"
            or getattr(model, "multi_class", "") == "ovr"
        )
        return ("one_vs_rest" if apart else "softmax"), {}
    if name == "LinearDiscriminantAnalysis":
        return "softmax", {}
    if name == "SGDClassifier":
        soft = "one_vs_rest" if k > 2 else "softmax"
        return (soft if model.loss == "log_loss" else "linear_svm"), {}
    if name == "OneVsRestClassifier":
        inner = {_of_estimator(one)[0] for one in model.estimators_}
        return ("one_vs_rest" if inner == {"softmax"} else None), {}
    if name == "SVC" and model.probability is not True:
        return _machine(model, k)
    if name == "MLPClassifier":
        sizes = [c.shape[1] for c in model.coefs_[:-1]]
        if len(sizes) == 1 and model.activation in ("tanh", "logistic", "relu"):
            return "mlp", {"hidden": int(sizes[0]), "activation": str(model.activation)}
    return None, {}


def _machine(model: Any, k: int) -> Family:
    """Name a support vector machine; one-vs-one votes of lines are no linear model."""
    if not isinstance(model.kernel, str) or (model.kernel == "linear" and k > 2):
        return None, {}
    poly = {"degree": int(model.degree), "coef0": float(model.coef0)}
    return KERNELS.get(model.kernel), poly if model.kernel == "poly" else {}


def _is_affine(step: Any, named: bool) -> bool:
    return all(
        (_name(part) in AFFINE and not getattr(part, "clip", False))
        or _is_identity(part)
        or (_name(part) in NAMES and (named or _takes_names(part)))
        for part in parts_of(step)
    )


def _is_in_order(step: Any) -> bool:
    known = (AFFINE - MIXING) | NAMES | IN_ORDER
    return all(_name(part) in known or _is_identity(part) for part in parts_of(step))


def _is_identity(part: Any) -> bool:
    return _name(part) == "FunctionTransformer" and getattr(part, "func", 0) is None


def _takes_names(encoder: Any) -> bool:
    """Whether an encoder acts on names; two values lie on a line, whatever they are."""
    return all(len(c) <= 2 or c.dtype.kind in "OSUTb" for c in encoder.categories_)


def _name(thing: Any) -> str:
    return type(thing).__name__

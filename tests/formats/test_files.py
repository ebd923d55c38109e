"""Each kind of file is asked as its owner asks it: no adapter, and the model's own accuracy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx_writer
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest, chi2, mutual_info_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from moatbench.data import Dataset
from moatbench.data.frame import from_frame
from moatbench.formats import opened
from moatbench.formats.kinds import kind_of
from moatbench.formats.model import require
from moatbench.formats.readers import lightgbm_file, xgboost_file
from moatbench.victim import Victim
from moatbench.victims import own
from moatbench.victims.own import model_file

NUMBERS = ["age", "hours per week", "gain"]
RAW = [*NUMBERS, "city", "owner"]


@pytest.fixture(autouse=True)
def no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare most tests the first look, which starts a process."""
    if "looks" not in request.keywords:
        monkeypatch.setattr(own, "look", lambda *args, **how: None)


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng, n = np.random.default_rng(0), 300
    frame = pd.DataFrame(
        {
            "age": rng.integers(17, 90, n),
            "hours per week": rng.integers(1, 99, n),
            "gain": np.round(rng.uniform(0, 1000, n), 2),
            "city": rng.choice(["Oslo", "Rome", "Bern"], n),
            "owner": rng.random(n) > 0.5,
        }
    )
    score = frame.age / 30 + frame.gain / 400 + (frame.city == "Oslo") * 1.5 + frame.owner
    frame["label"] = np.select([score > 4.7, score > 3.5], ["high", "mid"], "low")
    return frame


def dataset(frame: pd.DataFrame) -> Dataset:
    return Dataset(from_frame(frame, "people", "label", (), "drop", (), {}))


def accuracy(victim: Victim) -> float:
    shares = victim.shares
    return float((victim.predict(shares.x_test).labels == shares.y_test).mean())


def same_rows(frame: pd.DataFrame, victim: Victim) -> pd.DataFrame:
    """The judge's rows, as they stand in the owner's frame."""
    return frame.iloc[np.asarray(victim.shares.test_rows)]


def served(frame: pd.DataFrame, path: Path, **knobs: Any) -> Victim:
    victim: Victim = model_file(dataset(frame), np.random.default_rng(0), str(path), **knobs)
    return victim


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[RAW].assign(city=frame.city.astype("category"))


def pipeline() -> Any:
    columns = [("n", StandardScaler(), NUMBERS), ("c", OneHotEncoder(), ["city"])]
    steps = ColumnTransformer(columns, remainder="passthrough")
    return make_pipeline(steps, LogisticRegression())


def test_a_pipeline_on_a_frame(people: pd.DataFrame, tmp_path: Path) -> None:
    import skops.io

    model = pipeline().fit(people[RAW], people.label)
    skops.io.dump(model, tmp_path / "m")
    victim = served(people, tmp_path / "m")
    rows = same_rows(people, victim)
    assert accuracy(victim) == model.score(rows[RAW], rows.label)
    assert victim.family == "softmax"
    assert victim.shares.provenance["asked"] == "frame"


def test_histogram_boosting_needs_no_trusted_types(people: pd.DataFrame, tmp_path: Path) -> None:
    import skops.io

    model = HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype")
    model.fit(as_categories(people), people.label)
    skops.io.dump(model, tmp_path / "m.skops")
    victim = served(people, tmp_path / "m.skops")
    rows = same_rows(people, victim)
    assert accuracy(victim) == model.score(as_categories(people).loc[rows.index], rows.label) > 0.8
    assert victim.family == "gradient_boosting"


@pytest.mark.parametrize(
    "last",
    [
        DecisionTreeClassifier(max_depth=4),
        RandomForestClassifier(5, max_depth=4),
        GradientBoostingClassifier(n_estimators=5),
        MLPClassifier((4,), max_iter=5),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
        VotingClassifier([("l", LogisticRegression()), ("t", DecisionTreeClassifier(max_depth=3))]),
    ],
    ids=lambda last: type(last).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
def test_what_is_scikit_learns_own_need_not_be_vouched_for(
    people: pd.DataFrame, tmp_path: Path, last: Any
) -> None:
    import skops.io

    columns = [("n", SimpleImputer(), NUMBERS), ("c", OneHotEncoder(), ["city"])]
    steps = ColumnTransformer(columns, remainder="passthrough")
    model = make_pipeline(steps, SelectKBest(k=4), last).fit(people[RAW], people.label)
    skops.io.dump(model, tmp_path / "m.skops")
    victim = served(people, tmp_path / "m.skops")
    rows = same_rows(people, victim)
    assert accuracy(victim) == model.score(rows[RAW], rows.label)


@pytest.mark.needs("xgboost")
@pytest.mark.parametrize("form", ["json", "ubj"])
@pytest.mark.parametrize("classes", [2, 3])
def test_xgboost(people: pd.DataFrame, tmp_path: Path, form: str, classes: int) -> None:
    import xgboost

    frame = people if classes == 3 else people[people.label != "mid"]
    names, y = np.unique(frame.label, return_inverse=True)
    model = xgboost.XGBClassifier(n_estimators=10, max_depth=3, enable_categorical=True)
    model.fit(as_categories(frame), y)
    model.save_model(tmp_path / f"m.{form}")
    victim = served(frame, tmp_path / f"m.{form}")
    rows = same_rows(frame, victim)
    own_labels = names[model.predict(as_categories(people).loc[rows.index])]
    assert accuracy(victim) == (own_labels == rows.label).mean() > 0.8
    assert victim.family == "gradient_boosting"


@pytest.mark.needs("xgboost")
@pytest.mark.parametrize("kind", ["int64", "int32", "str"])
def test_xgboost_that_takes_whole_numbers_as_categories(
    people: pd.DataFrame, tmp_path: Path, kind: Any
) -> None:
    import xgboost

    people = people.assign(zip=np.random.default_rng(0).choice([303, 101, 202, 404], len(people)))
    people["label"] = np.where((people.zip == 202) ^ (people.age > 50), "y", "n")
    theirs = as_categories(people).assign(zip=people.zip.astype(kind).astype("category"))
    y = people.label == "y"
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=3, enable_categorical=True, n_jobs=1)
    model.fit(theirs, y).save_model(tmp_path / "m.json")
    victim = served(people.assign(zip=people.zip.astype(str)), tmp_path / "m.json")
    told = model.predict_proba(theirs.loc[same_rows(people, victim).index])
    assert victim.tested.outputs is not None
    np.testing.assert_array_equal(victim.tested.outputs[:, 1], told[:, 1])
    direct = xgboost_file.booster(model.get_booster(), {})
    np.testing.assert_array_equal(direct.ask(people), model.predict_proba(theirs)[:, 1])
    with pytest.raises(ValueError, match=r"zip as one of the categories 101, .*got 505"):
        direct.ask(people.assign(zip=505))


@pytest.mark.needs("xgboost")
def test_xgboost_that_was_taught_codes_is_asked_by_codes(people: pd.DataFrame) -> None:
    import xgboost

    theirs = people[["age"]].assign(zip=np.random.default_rng(0).integers(4, size=len(people)))
    y = (theirs.zip == 2) ^ (people.age > 50)
    rows = xgboost.DMatrix(theirs, y, feature_types=["q", "c"], enable_categorical=True)
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, rows, 5)
    told = model.predict(rows)
    np.testing.assert_array_equal(xgboost_file.booster(model, {}).ask(theirs), told)
    assert ((told > 0.5) == y).mean() > 0.95


@pytest.mark.needs("xgboost")
def test_numbers_of_which_an_older_xgboost_tells_no_categories_are_refused_with_what_to_do() -> (
    None
):
    class Older:
        feature_types: ClassVar = ["float", "c"]
        feature_names: ClassVar = ["age", "zip"]

        def save_config(self) -> str:
            return '{"learner": {"objective": {"name": "binary:logistic"}}}'

    with pytest.raises(ValueError, match=r"\(zip\), and which .*install \"xgboost-cpu>=3\.1"):
        xgboost_file.booster(Older(), {"age": None, "zip": None})


@pytest.mark.needs("xgboost")
@pytest.mark.parametrize("objective", ["binary:logistic", "binary:logitraw", "multi:softprob"])
def test_xgboosts_answers_show_that_they_are_in_single_precision(
    people: pd.DataFrame, tmp_path: Path, objective: str
) -> None:
    import xgboost

    frame = people if objective.startswith("multi") else people[people.label != "mid"]
    y = np.unique(frame.label, return_inverse=True)[1]
    rows = xgboost.DMatrix(as_categories(frame), label=y, enable_categorical=True)
    knobs = {"objective": objective, "max_depth": 2, "nthread": 1}
    knobs |= {"num_class": 3} if objective.startswith("multi") else {}
    xgboost.train(knobs, rows, 5).save_model(tmp_path / "m.json")
    victim = served(frame, tmp_path / "m.json")
    outputs = victim.predict(victim.shares.x_test).outputs
    assert outputs is not None
    assert (outputs == outputs.astype(np.float32))[:, -1].all()
    assert np.unique(outputs[:, -1]).size > 4


@pytest.mark.needs("lightgbm")
@pytest.mark.parametrize("classes", [2, 3])
def test_lightgbm_whose_file_renames_a_column(
    people: pd.DataFrame, tmp_path: Path, classes: int
) -> None:
    import lightgbm

    frame = people if classes == 3 else people[people.label != "mid"]
    model = lightgbm.LGBMClassifier(n_estimators=10, verbose=-1)
    model.fit(as_categories(frame), frame.label)
    model.booster_.save_model(tmp_path / "m.txt")
    victim = served(frame, tmp_path / "m.txt")
    rows = same_rows(frame, victim)
    told = model.predict(as_categories(people).loc[rows.index])
    assert accuracy(victim) == np.mean(told == rows.label) > 0.7


@pytest.mark.needs("lightgbm")
@pytest.mark.parametrize("kind", [int, float, str])
@pytest.mark.parametrize("order", [1, -1])
def test_lightgbm_that_takes_numbers_and_flags_as_categories(
    people: pd.DataFrame, tmp_path: Path, kind: type, order: int
) -> None:
    import lightgbm

    rng = np.random.default_rng(0)
    people = people.assign(
        zip=rng.choice([101, 202, 303, 404], len(people)),
        flag=rng.choice([True, False], len(people)),
    )
    people["label"] = np.where((people.zip == 202) ^ people.flag, "y", "n")
    theirs = as_categories(people).assign(idle="same", zip=people.zip.map(kind), flag=people.flag)[
        [*RAW, "zip", "flag", "idle"][::order]
    ]
    theirs = theirs.astype(dict.fromkeys(("zip", "flag", "idle"), "category"))
    model = lightgbm.LGBMClassifier(
        n_estimators=10, min_child_samples=3, min_data_per_group=3, cat_smooth=1, verbose=-1
    ).fit(theirs, people.label)
    assert model.score(theirs, people.label) > 0.95
    model.booster_.save_model(tmp_path / "m.txt")
    ours = people.assign(idle="same")
    victim = served(ours.assign(zip=people.zip.astype(str)), tmp_path / "m.txt")
    rows = same_rows(ours, victim)
    told = model.predict_proba(theirs.loc[rows.index])
    assert victim.tested.outputs is not None
    np.testing.assert_allclose(victim.tested.outputs, told, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"zip as one of the categories 101.*categorical=\[zip\]"):
        served(ours, tmp_path / "m.txt")


@pytest.mark.needs("lightgbm")
@pytest.mark.parametrize("columns", [["age", "zip"], ["zip", "age", "city"]])
@pytest.mark.parametrize("categories", [["zip"], ["zip", "city"]])
def test_lightgbm_that_takes_numbers_as_codes_beside_categories_that_it_stores(
    people: pd.DataFrame, columns: list[str], categories: list[str]
) -> None:
    import lightgbm

    zips = np.random.default_rng(0).choice([1, 2, 7], len(people))
    ours = people.assign(zip=zips)[columns]
    y = (zips == 2) ^ (people.age > people.age.median())
    theirs = ours.astype({"city": "category"} if "city" in columns else {})
    told = [name for name in categories if name in columns]
    knobs: dict[str, Any] = {"n_estimators": 10, "min_child_samples": 3, "cat_smooth": 1}
    knobs |= {"min_data_per_group": 3, "n_jobs": 1, "verbose": -1}
    model = lightgbm.LGBMClassifier(**knobs).fit(theirs, y, categorical_feature=told)
    assert model.booster_.pandas_categorical == [["Bern", "Oslo", "Rome"]][: "city" in columns]
    asked = lightgbm_file.booster(model.booster_, {}).ask(ours)
    assert np.array_equal(asked, np.asarray(model.predict_proba(theirs))[:, 1])
    if "city" in columns:
        with pytest.raises(ValueError, match=r"which .* text in the data \(city, zip"):
            lightgbm_file.booster(model.booster_, {}).ask(ours.astype({"zip": str}))


@pytest.mark.needs("lightgbm")
def test_a_forest_of_lightgbm_adds_log_odds(people: pd.DataFrame, tmp_path: Path) -> None:
    import lightgbm

    frame = people[people.label != "mid"]
    model = lightgbm.LGBMClassifier(
        n_estimators=5, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, verbose=-1
    ).fit(as_categories(frame), frame.label)
    model.booster_.save_model(tmp_path / "m.txt")
    assert served(frame, tmp_path / "m.txt").family == "gradient_boosting"


def test_catboost(people: pd.DataFrame, tmp_path: Path) -> None:
    catboost = pytest.importorskip("catboost", reason="catboost is not installed")
    model = catboost.CatBoostClassifier(
        iterations=10, depth=3, verbose=0, cat_features=["city"], allow_writing_files=False
    )
    model.fit(people[RAW], people.label)
    model.save_model(str(tmp_path / "m.cbm"))
    victim = served(people, tmp_path / "m.cbm")
    rows = same_rows(people, victim)
    assert accuracy(victim) == (model.predict(rows[RAW]).ravel() == rows.label).mean() > 0.7


def logistic(people: pd.DataFrame) -> LogisticRegression:
    return LogisticRegression(max_iter=2000).fit(people[NUMBERS].to_numpy(), people.label)


@pytest.mark.needs("onnxruntime")
@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_as_scikit_learn_is_converted(
    people: pd.DataFrame, tmp_path: Path, zipmap: bool
) -> None:
    frame, model = people[[*NUMBERS, "label"]], logistic(people)
    content = onnx_writer.linear(model.coef_, model.intercept_, list(model.classes_), zipmap=zipmap)
    (tmp_path / "m.onnx").write_bytes(content)
    victim = served(frame, tmp_path / "m.onnx")
    rows = same_rows(frame, victim)
    assert accuracy(victim) == model.score(rows[NUMBERS].to_numpy(), rows.label) > 0.5
    assert victim.family == "softmax"


@pytest.mark.needs("onnxruntime")
def test_onnx_of_a_network_in_a_folder_with_its_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(3, 4)), rng.normal(size=4)), (rng.normal(size=(4, 2)), [0, 0])]
    (tmp_path / "m.onnx").write_bytes(onnx_writer.network(layers))
    model = opened.opened(tmp_path / "m.onnx", {})
    assert (model.family, model.architecture) == ("mlp", {"hidden": 4, "activation": "relu"})
    (tmp_path / "m.onnx").write_bytes(onnx_writer.network(layers, external="weights.bin"))
    with pytest.raises(ValueError, match=r"keeps weights in weights\.bin beside it.* the folder"):
        opened.opened(tmp_path / "m.onnx", {})


@pytest.mark.needs("onnxruntime")
@pytest.mark.parametrize("rows", [1, 3, 64])
def test_onnx_that_takes_so_many_rows_at_once_is_asked_in_parts(rows: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(2, 4)), rng.normal(size=4)), (rng.normal(size=(4, 3)), [0, 0, 0])]
    (tmp_path / "free.onnx").write_bytes(onnx_writer.network(layers))
    (tmp_path / "fixed.onnx").write_bytes(onnx_writer.network(layers, rows=rows))
    free, fixed = (opened.opened(tmp_path / f"{name}.onnx", {}) for name in ("free", "fixed"))
    asked = pd.DataFrame(rng.normal(size=(10, 2)))
    assert np.allclose(fixed.ask(asked), free.ask(asked), atol=1e-6)
    assert np.array_equal(fixed.ask(asked), fixed.ask(asked.to_numpy()))


@pytest.mark.needs("onnxruntime")
def test_onnx_is_not_asked_a_fraction_that_it_would_cut(tmp_path: Path) -> None:
    from moatbench.formats.readers.onnx_file import _fed

    assert _fed([[1.0, 2.0]], "tensor(int64)").tolist() == [[1, 2]]
    with pytest.raises(ValueError, match=r"takes whole numbers, got 1\.5"):
        _fed([[1.5]], "tensor(int64)")


def mlmodel(folder: Path, **flavours: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(json.dumps({"flavors": flavours}))


def test_a_folder_of_mlflow_is_read_by_our_own_readers(
    people: pd.DataFrame, tmp_path: Path
) -> None:
    import skops.io

    model = pipeline().fit(people[RAW], people.label)
    # The list of trusted types in the folder is not ours
    flavour = {"pickled_model": "model.skops", "skops_trusted_types": ["os.system"]}
    mlmodel(tmp_path / "m", sklearn=flavour, python_function={"loader_module": "evil"})
    skops.io.dump(model, tmp_path / "m" / "model.skops")
    victim = served(people, tmp_path / "m")
    rows = same_rows(people, victim)
    assert accuracy(victim) == model.score(rows[RAW], rows.label)


@pytest.mark.parametrize(
    ("flavours", "said"),
    [
        ({"sklearn": {"pickled_model": "../m.skops"}}, "must name a file within its folder"),
        ({"sklearn": {"pickled_model": "model.pkl"}}, r"is a pickle.*victim\.trust=true"),
        ({"python_function": {"loader_module": "x"}}, r"runs code of its own.*pyfunc\.load_model"),
        ({"pytorch": {"model_data": "data"}}, "save its state_dict, and use victim=module"),
    ],
)
def test_a_folder_that_would_run_code_is_refused(
    tmp_path: Path, flavours: dict[str, Any], said: str
) -> None:
    mlmodel(tmp_path / "m", **flavours)
    (tmp_path / "m.skops").write_bytes(b"PK")
    (tmp_path / "m" / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=said):
        opened.opened(tmp_path / "m", {})


def test_a_pickle_is_loaded_for_its_owner_only(people: pd.DataFrame, tmp_path: Path) -> None:
    import joblib

    joblib.dump(pipeline().fit(people[RAW], people.label), tmp_path / "m.joblib")
    with pytest.raises(ValueError, match=r"is a pickle, got .*runs whatever it says"):
        served(people, tmp_path / "m.joblib")
    assert accuracy(served(people, tmp_path / "m.joblib", trust=True)) > 0.7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "looks like none"),
        (b"a,b\n1,2\n", "looks like none"),
        (b'{"a": 1}', "looks like none"),
        (b"\x89HDF\r\n\x1a\n", r"a model of Keras.*victim=own"),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ValueError, match=said) as stop:
        kind_of(tmp_path / "m")
    assert "\n" not in str(stop.value)


def test_a_missing_library_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moatbench.formats.model.find_spec", lambda name: None)
    (tmp_path / "m").write_bytes(b"tree\nversion=v4\n")
    with pytest.raises(ValueError, match=r"pip install 'moatbench\[boosting\]'"):
        opened.opened(tmp_path / "m", {})


@pytest.mark.needs("xgboost")
@pytest.mark.parametrize("objective", ["reg:squarederror", "rank:pairwise"])
def test_a_regression_of_xgboost_is_no_classifier(
    people: pd.DataFrame, tmp_path: Path, objective: str
) -> None:
    import xgboost

    matrix = xgboost.DMatrix(people[NUMBERS], label=people.age, qid=np.zeros(len(people)))
    xgboost.train({"objective": objective}, matrix, 1).save_model(tmp_path / "m.json")
    with pytest.raises(ValueError, match=f"must be a classifier, got .* objective {objective}"):
        opened.opened(tmp_path / "m.json", {})


def test_the_readers_load_no_library_before_they_need_it() -> None:
    heavy = "{'sklearn', 'torch', 'xgboost', 'lightgbm', 'catboost', 'onnxruntime', 'pandas'}"
    code = f"import moatbench.formats.opened, sys; sys.exit(str({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"


def test_a_library_that_does_not_load_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unlinked.py").write_text("raise OSError('libgomp.so.1: cannot open it')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"does not load here \(libgomp\.so\.1: .*libgomp1"):
        require("unlinked", "boosting", "LightGBM")


@pytest.mark.parametrize("scoring", [None, "f1_macro", "roc_auc_ovr"])
def test_a_search_over_a_pipeline_that_selects_columns_is_taken(
    scoring: str | None, people: pd.DataFrame, tmp_path: Path
) -> None:
    import skops.io

    numbers = make_pipeline(SimpleImputer(), SelectKBest(mutual_info_classif, k=2))
    names = make_pipeline(OneHotEncoder(), SelectKBest(chi2, k=3))
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include=np.number, dtype_exclude=[object])),
        (names, make_column_selector(dtype_exclude="number")),
    )
    chosen = make_pipeline(columns, LogisticRegression(max_iter=500))
    grid = {"logisticregression__C": [0.1, 1.0]}
    search = GridSearchCV(chosen, grid, scoring=scoring, cv=2).fit(people[RAW], people.label)
    skops.io.dump(search, tmp_path / "m")
    names_of_people = dict.fromkeys(RAW)
    asked = opened.opened(tmp_path / "m", names_of_people).ask(people[RAW][:9])
    assert np.array_equal(asked, search.predict_proba(people[RAW][:9]))

"""Files that mean harm, or are broken, end in one line and take neither memory nor the run."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from moatbench.formats.look import look
from moatbench.formats.opened import opened
from moatbench.formats.readers.sound_trees import require_sound


def repacked(source: Path, target: Path, change: Any, compression: int = 0) -> None:
    """Copy a zip; `change` is given the schema, and returns another."""
    with ZipFile(source) as old, ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "schema.json":
                data = json.dumps(change(json.loads(data))).encode()
            new.writestr(name, data)


@pytest.fixture(scope="module")
def boosting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.integers(2, size=60)
    x[:, 1] = np.abs(np.rint(x[:, 1]))
    model = HistGradientBoostingClassifier(max_iter=1, categorical_features=[1]).fit(x, y)
    file = tmp_path_factory.mktemp("m") / "m.skops"
    skops.io.dump(model, file)
    return file


def test_a_zip_that_unpacks_to_far_more_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moatbench.formats.sizes.MOST_BYTES", 2**20)
    with ZipFile(tmp_path / "bomb.skops", "w", ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 2**23)
    monkeypatch.setattr(ZipFile, "read", lambda *args: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=r"must unpack to 20 times its 0\.0 MiB at most, got 8 "):
        opened(tmp_path / "bomb.skops", {})


def test_only_partials_of_a_check_of_arrays_are_trusted(boosting: Path, tmp_path: Path) -> None:
    assert opened(boosting, {}).family == "gradient_boosting"

    def evil(node: Any) -> Any:
        if isinstance(node, list):
            return [evil(n) for n in node]
        if not isinstance(node, dict):
            return node
        if node.get("__class__") == "check_array":
            return {**node, "__class__": "system", "__module__": "os"}
        return {key: evil(value) for key, value in node.items()}

    repacked(boosting, tmp_path / "m.skops", evil)
    with pytest.raises(ValueError, match=r"trusted types only, got functools\.partial, .*system"):
        opened(tmp_path / "m.skops", {})


@pytest.mark.parametrize(
    ("array", "value"), [("left_child", 0), ("right_child", 10**6), ("feature", 2), ("feature", -1)]
)
def test_a_tree_that_cannot_be_walked_is_refused(array: str, value: int) -> None:
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.integers(2, size=60)
    model = RandomForestClassifier(2, max_depth=3, random_state=0).fit(x, y)
    require_sound(model)
    tree = model.estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"][array][0] = value
    tree.__setstate__(state)
    with pytest.raises(ValueError, match="whose branches lead downwards"):
        require_sound([{"a": model}])


@pytest.mark.needs("xgboost")
def test_a_file_that_ends_its_reader_does_not_end_the_run(tmp_path: Path) -> None:
    """Found: one child index of an XGBoost file changed to a million kills the process."""
    import xgboost

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 2)), rng.integers(2, size=200)
    xgboost.XGBClassifier(n_estimators=1, max_depth=2, n_jobs=1).fit(x, y).save_model(
        tmp_path / "m.json"
    )
    tree = json.loads((tmp_path / "m.json").read_text())
    trees = tree["learner"]["gradient_booster"]["model"]["trees"]
    trees[0]["left_children"][0] = trees[0]["right_children"][0] = 1_000_000
    (tmp_path / "m.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=r"damaged or hostile, got .* ended with (signal|status)"):
        look(tmp_path / "m.json", {}, x[:10])


def test_the_first_look_says_what_the_reader_says(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=r"is a pickle, got .*victim\.trust=true"):
        look(tmp_path / "m", {})

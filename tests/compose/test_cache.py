"""Trained victims on disk: bit for bit the same, never stale, never half written."""

import pickle
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from moatbench.compose import archive, cache
from moatbench.compose.archive import DamagedArchive, NotArchivable
from moatbench.compose.build import build_victim, instantiate, options
from moatbench.compose.cache import trained, victim_key
from moatbench.data import Dataset
from moatbench.models.forest import forest
from moatbench.randomness import stream
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax

Compose = Callable[..., DictConfig]

# Models of somebody else's: there is nothing to train
OWN = ("own", "model", "skops", "module", "mlflow", "http", "art")
TRAINED = [name for name in options("victim") if name not in OWN]


@pytest.mark.parametrize("family", TRAINED)
def test_a_kept_victim_is_the_trained_one_bit_for_bit(
    family: str, composed: Compose, tmp_path: Path
) -> None:
    data = {"logistic": "breast_cancer", "cnn": "digits"}.get(family, "iris")
    cfg = composed(f"victim={family}", f"data={data}", f"cache={tmp_path}")
    fresh: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(0, "victim"))
    build_victim(cfg, instantiate(cfg.data), 0)
    assert len(list(tmp_path.glob("victims/*.npz"))) == 1
    kept = build_victim(cfg, instantiate(cfg.data), 0)
    x = fresh.space.sample(500, np.random.default_rng(0))
    for rows in (x, fresh.shares.x_test):
        a, b = fresh.predict(rows), kept.predict(rows)
        assert np.array_equal(a.labels, b.labels)
        assert (a.outputs is None) == (b.outputs is None)
        if a.outputs is not None and b.outputs is not None:
            assert a.outputs.tobytes() == b.outputs.tobytes()
    assert kept.shares.space == fresh.shares.space
    assert kept.architecture == fresh.architecture
    assert dict(kept.shares.provenance) == dict(fresh.shares.provenance)
    assert not kept.shares.x_train.flags.writeable


def iris() -> Victim:
    """Train a victim in milliseconds."""
    victim: Victim = softmax(bundled("iris"), np.random.default_rng(0))
    return victim


def test_the_second_time_nothing_is_trained(tmp_path: Path) -> None:
    times = []

    def train() -> Victim:
        times.append(1)
        return iris()

    first, second = (trained(tmp_path, "key", train) for _ in range(2))
    assert len(times) == 1
    assert np.array_equal(first.shares.x_test, second.shares.x_test)


def test_a_model_in_a_file_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, composed: Compose
) -> None:
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    looks: list[Any] = []
    monkeypatch.setattr("moatbench.victims.own.look", lambda *args, **how: looks.append(args))
    x, y = load_iris(return_X_y=True, as_frame=True)
    told = []
    for C in (1.0, None, 0.01):  # None leaves the file as it is
        if C is not None:
            model = LogisticRegression(C=C, max_iter=5000).fit(x, y)
            skops.io.dump(model, tmp_path / "m.skops")
        cfg = composed("victim=model", f"victim.path={tmp_path}/m.skops", f"cache={tmp_path}/c")
        victim = build_victim(cfg, bundled("iris"), 0)
        told.append(victim.predict(victim.space.sample(99, np.random.default_rng(0))).outputs)
    assert len(looks) == 2
    assert np.array_equal(told[0], told[1])  # type: ignore[arg-type]
    assert not np.array_equal(told[0], told[2])  # type: ignore[arg-type]


def test_whatever_can_change_a_victim_changes_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"_target_": "moatbench.victims.linear.softmax", "C": 1.0}
    data = bundled("iris")
    moved = replace(data.table.columns[0], values=data.table.columns[0].values + 1e-9)
    other = replace(data.table, columns=(moved, *data.table.columns[1:]))
    keys = [
        victim_key(node, data, 0, 1),
        victim_key({**node, "C": 2.0}, data, 0, 1),
        victim_key(node, data, 1, 1),
        victim_key(node, data, 0, 2),
        victim_key(node, replace(data, test_share=0.4), 0, 1),
        victim_key(node, Dataset(other), 0, 1),
    ]
    monkeypatch.setattr(cache, "version_of", lambda name: "9.9")
    keys.append(victim_key(node, data, 0, 1))
    monkeypatch.undo()
    monkeypatch.setattr(cache, "_source", lambda package: "edited")
    keys.append(victim_key(node, data, 0, 1))
    assert len(set(keys)) == len(keys)


def test_whatever_victims_import_of_ours_is_part_of_their_key() -> None:
    for name in cache.OURS:
        spec = find_spec(f"moatbench.{name}")
        assert spec is not None
        assert spec.origin is not None
        places = [Path(place) for place in spec.submodule_search_locations or ()]
        files = [file for place in places for file in place.rglob("*.py")] or [Path(spec.origin)]
        for file in files:
            used = set(re.findall(r"(?:from|import) moatbench\.(\w+)", file.read_text()))
            assert used <= set(cache.OURS), file


def test_a_victim_of_somebody_elses_code_is_trained_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What their code reads, no key can know: two contents of one file are two victims."""
    lines = "import pathlib\nfrom moatbench.victims.linear import softmax\n\n"
    made = "def make(data, rng):\n    C = float(pathlib.Path('C.txt').read_text())\n"
    (tmp_path / "theirs_victim.py").write_text(f"{lines}{made}    return softmax(data, rng, C=C)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    node = {"_target_": "theirs_victim.make"}
    cfg = OmegaConf.create({"victim": node, "cache": str(tmp_path / "cache"), "threads": 1})
    told = []
    for C in ("1", "0.001"):
        (tmp_path / "C.txt").write_text(C)
        victim = build_victim(cfg, bundled("iris"), 0)
        told.append(np.asarray(victim.predict(victim.shares.x_test).outputs))
    assert not np.array_equal(told[0], told[1])
    assert not list(tmp_path.glob("cache/*/*.npz"))


def test_the_content_of_a_file_that_the_config_names_is_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node, keys = {"_target_": "moatbench.victims.linear.softmax", "start": "w.npy"}, []
    for text in ("one", "two"):
        (tmp_path / "w.npy").write_text(text)
        keys.append(victim_key(node, bundled("iris"), 0, 1))
    assert keys[0] != keys[1]


@pytest.mark.parametrize("left", [0, 1, 2000])
def test_a_damaged_file_is_trained_again_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: int
) -> None:
    trained(tmp_path, "key", iris)
    file = tmp_path / "key.npz"
    file.write_bytes(file.read_bytes()[:left])  # cut off
    trained(tmp_path, "key", iris)
    assert "trained again" in caplog.text
    assert isinstance(archive.load(file), Victim)


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert trained(blocked, "key", iris)


def test_processes_side_by_side_train_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        done = list(pool.map(_train_slowly, [tmp_path] * 4))
    assert sum(done) == 1


def _train_slowly(folder: Path) -> int:
    times = []

    def train() -> Victim:
        times.append(1)
        return iris()

    trained(folder, "key", train)
    return len(times)


@dataclass(frozen=True)
class Stranger:
    """A dataclass outside moatbench."""

    x: int


def test_nothing_but_trusted_dataclasses_is_made(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    archive.dump(Stranger(1), file)
    with pytest.raises(DamagedArchive, match="none of the trusted packages"):
        archive.load(file)
    structure = b'{"object": "moatbench.compose.build:instantiate", "fields": {}}'
    np.savez(file, structure=np.frombuffer(structure, np.uint8))
    with pytest.raises(DamagedArchive, match="no dataclass"):
        archive.load(file)
    file.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DamagedArchive):
        archive.load(file)


def test_a_function_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(NotArchivable, match="function"):
        archive.dump({"f": lambda x: x}, tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_plain_values_come_back_as_they_were(tmp_path: Path) -> None:
    value = {"t": (1, 2.5, None, "x", True), "l": [np.arange(3), [np.float64(0.1)]]}
    archive.dump(value, tmp_path / "a.npz")
    back = archive.load(tmp_path / "a.npz")
    assert back["t"] == value["t"]
    assert back["l"][0].tolist() == [0, 1, 2]
    assert back["l"][1] == [0.1]


@pytest.mark.parametrize("data", ["iris", "breast_cancer"])
def test_a_forest_answers_as_scikit_learn_does(data: str) -> None:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    from moatbench.victims.ensembles import gradient_boosting, random_forest

    dataset = bundled(data)
    knobs: dict[str, dict[str, Any]] = {
        "random_forest": {"leaves": None, "min_samples_leaf": 1},
        "gradient_boosting": {"leaves": 8, "learning_rate": 0.1},
    }
    theirs = {
        "random_forest": RandomForestClassifier(10),
        "gradient_boosting": GradientBoostingClassifier(
            n_estimators=10, max_leaf_nodes=8, max_depth=None
        ),
    }
    for family, make in (
        ("random_forest", random_forest),
        ("gradient_boosting", gradient_boosting),
    ):
        victim = make(dataset, np.random.default_rng(0), trees=10, **knobs[family])
        rng = np.random.default_rng(0)
        shares, model = dataset.shares(rng), theirs[family]
        model.set_params(random_state=int(rng.integers(2**31)))
        model.fit(shares.x_train, shares.y_train)
        x = shares.space.sample(3000, rng)
        outputs = victim.predict(x).outputs
        assert outputs is not None
        assert np.abs(outputs - model.predict_proba(x)).max() < 1e-12


def test_an_empty_batch_is_an_empty_answer() -> None:
    from sklearn.tree import DecisionTreeRegressor

    grown = DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.0]).tree_
    assert forest([grown], [grown.value[:, 0, :]]).total(np.empty((0, 1))).shape == (0, 1)

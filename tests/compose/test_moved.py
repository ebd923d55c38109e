"""Names of earlier versions: old victims load; old configs and imports are told the new name."""

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from moatbench.compose import archive
from moatbench.compose.build import instantiate
from moatbench.compose.words.errors import explain
from moatbench.compose.words.moved import MOVED, moved, new_place
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.ensembles import random_forest
from moatbench.victims.kernel_logistic import kernel_logistic
from moatbench.victims.linear import softmax

KEPT = {  # by version 724cb49: the classes that a victim on disk may name, and their fields
    "moatbench.numerics.forest:Forest": "feature left right roots threshold values",
    "moatbench.numerics.kernels:Kernel": "coef0 degree gamma name",
    "moatbench.numerics.kernels:Machine": "dual intercept k kernel support",
    "moatbench.numerics.tree:Tree": "feature inside labels left outputs right threshold",
    "moatbench.space:Categorical": "name one_hot values",
    "moatbench.space:InputSpace": "features image",
    "moatbench.space:Numeric": "high low name",
    "moatbench.victim:Shares": (
        "classes pool provenance space x_test x_train y_pool y_test y_train"
    ),
    "moatbench.victim:Victim": "architecture family full partial predict shares",
    "moatbench.victims.ensembles:Ensemble": "link start trees",
    "moatbench.victims.kernel_logistic:Similarity": "coef gamma representers",
    "moatbench.victims.linear:LinearModel": "intercept link weights",
    "moatbench.victims.mlp:Network": "activation b c link v w",
    "moatbench.victims.services:Extraction": "edges",
    "moatbench.victims.services:Service": "extraction intercept weights",
    "moatbench.victims.svm:Hyperplanes": "bias weights",
    "moatbench.victims.svm:Voting": "machine",
    "moatbench.victims.tree:Served": "fields grown",
}


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        try:
            reduce(getattr, parts[end:], found)
        except AttributeError:
            return False
        return True
    return False


def test_what_has_moved_is_where_the_table_says() -> None:
    for old, new in MOVED.items():
        assert exists(new), new
        assert not is_module(old), old


def is_module(name: str) -> bool:
    """Whether there is a module of this name."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("moatbench.defenses.prada.PRADA", "moatbench.defenses.monitors.prada.PRADA"),
        ("moatbench.sweep.Watched", "moatbench.sweep.callback.Watched"),
        ("moatbench.numerics.recovery.Lookup", "moatbench.learners.restoring.Lookup"),
        ("moatbench.numerics.restorer.DDAE", "moatbench.learners.ddae.DDAE"),
        ("moatbench.defenses.hoda.HODA", "moatbench.defenses.monitors.hoda.HODA"),
    ],
)
def test_an_old_target_is_told_its_new_place_in_one_line(old: str, new: str) -> None:
    node = OmegaConf.create({"defense": {"mine": {"_target_": old}}})
    assert isinstance(node, DictConfig)
    with pytest.raises(Exception, match="Error locating target") as caught:
        instantiate(node)
    told = f"{old} has moved; import {new}, or name it as _target_"
    assert explain(caught.value) == f"defense.mine: {told}"


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("from moatbench.view import View", "moatbench.strategies.view"),
        ("from moatbench.attack import Purchases", "moatbench.learners.purchases.Purchases"),
        ("from moatbench import metrics", "moatbench.judge.judge"),
        ("import moatbench.numerics.tree", "moatbench.models.tree"),
    ],
)
def test_an_old_import_is_told_its_new_place(line: str, new: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(line, {})
    assert f"has moved; import {new}," in explain(caught.value)


def test_what_never_was_ours_has_not_moved() -> None:
    assert new_place("moatbench.defenses.monitors.prada.PRADA") is None
    assert moved("No module named 'moatbench.nothing'") == ""
    assert moved("No module named 'theirs.view'") == ""


@pytest.mark.parametrize(("name", "given"), KEPT.items(), ids=KEPT)
def test_every_class_of_an_old_victim_still_takes_what_was_kept(name: str, given: str) -> None:
    found = fields(archive._dataclass(name, archive.TRUSTED))
    assert set(given.split()) <= {f.name for f in found if f.init}
    needed = {f.name for f in found if f.init and f.default is f.default_factory is MISSING}
    assert needed <= set(given.split())


def victim(family: str) -> Victim:
    data, rng = bundled("iris"), np.random.default_rng(0)
    made: dict[str, Callable[[], Victim]] = {
        "softmax": lambda: softmax(data, rng),
        "forest": lambda: random_forest(data, rng, trees=3, leaves=8, min_samples_leaf=1),
        "kernels": lambda: kernel_logistic(data, rng),
    }
    return made[family]()


@pytest.mark.parametrize("family", ["softmax", "forest", "kernels"])
def test_a_victim_that_was_kept_under_old_names_loads(family: str, tmp_path: Path) -> None:
    fresh, file = victim(family), tmp_path / "victim.npz"
    archive.dump(fresh, file)
    with np.load(file) as kept:
        entries: dict[str, Any] = {name: kept[name] for name in kept.files}
    text = entries[archive.STRUCTURE].tobytes().decode()
    for old, new in MOVED.items():
        text = text.replace(f'"{new}:', f'"{old}:')
    assert "moatbench.numerics." in text
    assert "moatbench.models." not in text
    entries[archive.STRUCTURE] = np.frombuffer(text.encode(), np.uint8)
    np.savez(file, **entries)
    loaded = archive.load(file)
    x = fresh.shares.x_test
    assert np.array_equal(loaded.predict(x).labels, fresh.predict(x).labels)

"""A model of one's own is asked in the data's units, under its own names, in its own order."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from moatbench.data import Dataset
from moatbench.data.frame import from_frame
from moatbench.space import Categorical
from moatbench.victim import Victim
from moatbench.victims.asking import asked, class_order
from moatbench.victims.datasets import bundled
from moatbench.victims.own import own_model

RAW = ["age", "member", "town", "zone", "always"]


def owned(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(17, 90, n),
            "member": rng.random(n) < 0.5,
            "town": rng.choice(["York", "Bath", "Leeds"], n),
            "zone": rng.choice([1, 3, 7], n),
            "always": np.full(n, 7),
        }
    )
    score = frame.age / 20 + 2 * frame.member + (frame.town == "Bath") + (frame.zone == 3)
    return frame.assign(label=np.where(score + rng.normal(size=n) / 4 > 4, "yes", "no"))


def data(frame: pd.DataFrame) -> Dataset:
    return Dataset(from_frame(frame, "mine", "label", [], "drop", [], {}), units="own")


def pipeline(**knobs: Any) -> Any:
    parts = ColumnTransformer(
        [
            ("n", StandardScaler(), ["age", "member", "always"]),
            ("c", OneHotEncoder(**knobs), ["town", "zone"]),
        ]
    )
    return make_pipeline(parts, LogisticRegression(C=100))


def agrees(victim: Victim, model: Any, frame: pd.DataFrame, columns: Any = RAW) -> bool:
    """Whether the victim answers the judge's rows as the model does the owner's own."""
    rows = frame[columns] if isinstance(columns, list) else columns
    assert victim.shares.test_rows is not None
    rows = rows.iloc[victim.shares.test_rows]
    named = hasattr(model, "feature_names_in_")
    wanted = model.predict_proba(rows if named else rows.to_numpy())
    outputs = victim.predict(victim.shares.x_test).outputs
    assert outputs is not None
    return np.allclose(outputs, wanted, 0, 1e-12)


def own(model: Any, frame: pd.DataFrame, **knobs: Any) -> Victim:
    victim: Victim = own_model(data(frame), np.random.default_rng(0), model, **knobs)
    return victim


def test_a_pipeline_on_frames_is_asked_with_frames() -> None:
    frame = owned()
    model = pipeline().fit(frame[RAW], frame.label)
    victim = own(model, frame)
    assert agrees(victim, model, frame)
    assert [type(f).__name__ for f in victim.space.features] == ["Numeric", *["Categorical"] * 3]
    zone = victim.space.features[3]  # numbers that the model encodes
    assert isinstance(zone, Categorical)
    assert zone.values == ("1", "3", "7")


def test_columns_come_in_the_order_of_the_model() -> None:
    frame = owned()
    model = pipeline().fit(frame[RAW[::-1]], frame.label)
    assert agrees(own(model, frame), model, frame, RAW[::-1])


def test_a_search_is_looked_through() -> None:
    frame = owned()
    model = GridSearchCV(pipeline(), {"logisticregression__C": [1, 9]}, cv=2)
    model.fit(frame[RAW], frame.label)
    assert isinstance(own(model, frame).space.features[3], Categorical)


def test_a_model_of_categories_gets_them() -> None:
    frame = owned()
    rows = frame[RAW].astype({"town": "category"})
    model = HistGradientBoostingClassifier(max_iter=5).fit(rows, frame.label)
    assert agrees(own(model, frame), model, frame, rows)


def test_dummies_are_found_by_their_names() -> None:
    frame = owned()
    rows = pd.get_dummies(frame[RAW])
    model = LogisticRegression(max_iter=5000).fit(rows, frame.label)
    victim = own(model, frame)
    assert agrees(victim, model, frame, rows)
    assert len(victim.space.groups) == 1


def test_arrays_of_dummies_and_codes_are_found_by_their_number_of_columns() -> None:
    frame = owned()
    order = ["age", "member", "town_Bath", "town_Leeds", "town_York", "zone", "always"]
    hot = pd.get_dummies(frame[RAW])[order].astype(float)
    codes = frame[RAW].assign(town=frame.town.astype("category").cat.codes).astype(float)
    for rows in (hot, codes):
        model = LogisticRegression(max_iter=5000).fit(rows.to_numpy(), frame.label)
        victim = own(model, frame)
        assert agrees(victim, model, frame, rows)


def test_other_names_are_told_with_both_lists() -> None:
    frame = owned()
    model = pipeline().fit(frame[RAW], frame.label)
    other = frame.rename(columns={"town": "city"}).assign(extra=np.arange(len(frame)))
    with pytest.raises(ValueError, match="got age, member, town, zone, always") as stop:
        own(model, other)
    assert "(age, member, city, zone, always, extra)" in str(stop.value)
    assert "'data.drop=[city,extra]'" in str(stop.value)


def test_other_categories_are_told_with_both_lists() -> None:
    frame = owned()
    model = pipeline(handle_unknown="ignore").fit(frame[RAW], frame.label)
    other = frame.assign(town=frame.town.str.upper())
    with pytest.raises(ValueError, match="knows Bath, Leeds, York; the data have BATH, LEEDS"):
        own(model, other)
    assert own(model, other, encoding="frame").space.d == 4  # the owner vouches for it


def test_another_number_of_columns_is_refused() -> None:
    model = LogisticRegression(max_iter=500).fit(np.eye(3), [0, 1, 1])
    with pytest.raises(ValueError, match=r"must take 4 columns, as iris has, got 3"):
        asked(model, model.predict_proba, bundled("iris"), np.random.default_rng(0), None)


def test_what_a_model_refuses_is_told_in_its_words() -> None:
    frame = owned()
    model = pipeline().fit(frame[RAW], frame.label)
    with pytest.raises(ValueError, match="refused them as frame: ") as stop:
        own(model, frame.assign(age=frame.age.astype(str) + " years"))
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize(
    ("told", "classes", "order"),
    [
        ([10, 2, 1], ("1", "2", "10"), [2, 1, 0]),
        ([1.0, 2.0], ("1", "2"), [0, 1]),
        (range(3), ("1", "2", "10"), [0, 1, 2]),
        ([True, False], ("False", "True"), [1, 0]),
        ([True, False], ("0", "1"), [1, 0]),
        (["b", "a"], ("a", "b"), [1, 0]),
        ([1, 0], ("a", "b"), None),
        (["a", "c"], ("a", "b"), None),
        ([0, 1, 2], ("a", "b"), None),
    ],
)
def test_classes_are_matched_by_name_and_numbers_by_value(
    told: Any, classes: tuple[str, ...], order: list[int] | None
) -> None:
    model = SimpleNamespace(classes_=list(told))

    if order is None:
        with pytest.raises(ValueError, match=r"must be the data's \(a, b\) or 0 to 1, got"):
            class_order(model, classes)
    else:
        assert class_order(model, classes).tolist() == order

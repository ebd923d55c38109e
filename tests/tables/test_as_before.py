"""What pandas read right is read as it was, bit for bit: numbers, names, classes, order of rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from moatbench.data import Table
from moatbench.victims import datasets


def plain(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 60
    scale = 10.0 ** rng.uniform(-12, 12)
    frame = pd.DataFrame(
        {
            "whole": rng.integers(-50, 50, n),
            "decimal": rng.normal(size=n) * scale,
            "rounded": rng.normal(size=n).round(2),
            "town": rng.choice(["Bern", " Basel", "A, B", 'the "old"'], n),
            "open": rng.integers(2, size=n) > 0,
            "rank": rng.integers(3, size=n),
            "label": rng.choice(["yes", "no", "3"], n) if seed % 2 else rng.integers(12, size=n),
        }
    )
    for column in ("decimal", "town"):
        frame.loc[rng.integers(n, size=4), column] = np.nan
    return frame


@pytest.mark.parametrize("missing", ["drop", "category"])
@pytest.mark.parametrize("seed", range(4))
def test_a_plain_table_is_read_as_pandas_reads_it(seed: int, missing: str, tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    plain(seed).to_csv(file, index=False)
    knobs: dict[str, Any] = {"missing": missing, "categorical": ["rank"]}
    before = datasets.from_frame(
        pd.read_csv(file, skipinitialspace=True), "plain", "label", [], notes={}, **knobs
    )
    now = datasets.csv(str(file), "label", [], test_share=0.3, pool_share=0.25, **knobs).table
    assert_equal(now, before)


def assert_equal(now: Table, before: Table) -> None:
    assert now.sha256() == before.sha256()
    assert now.classes == before.classes
    assert now.notes["rows_dropped"] == before.notes["rows_dropped"]


def test_a_set_of_openml_is_read_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = plain(1)
    frame["town"] = frame["town"].astype("category")
    frame["label"] = frame["label"].astype("category")
    monkeypatch.setattr(datasets, "fetched", lambda _: frame)
    shares = {"test_share": 0.3, "pool_share": 0.25}
    now = datasets.openml(7, "label", "rounded", "drop", "rank", **shares).table
    before = datasets.from_frame(frame, "x", "label", ["rounded"], "drop", ["rank"], {})
    assert_equal(now, before)
    assert "openml-7: " in now.notes["understood"]


def test_a_set_of_openml_has_marks_for_missing_values_too(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = plain(1)
    frame["town"] = frame["town"].astype("category")
    monkeypatch.setattr(datasets, "fetched", lambda _: frame)
    knobs = {"drop": [], "missing": "drop", "categorical": []}
    shares = {"test_share": 0.3, "pool_share": 0.25}
    table = datasets.openml(7, "label", **knobs, **shares, missing_marks=["Basel", -50]).table
    gone = frame["town"].eq(" Basel") | frame["whole"].eq(-50) | frame.isna().any(axis=1)
    assert table.notes["rows_dropped"] == gone.sum()
    assert f"town {frame['town'].eq(' Basel').sum()} (first in row 1)" in table.notes["warnings"][0]

"""Parquet, Arrow, Feather and frames: types are kept, texts in them are looked at."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from moatbench.tables.read import from_typed, read
from moatbench.tables.told import Knobs, Understood, knobs, listed, override

ROWS = 40


def frame() -> pd.DataFrame:
    i = np.arange(ROWS)
    return pd.DataFrame(
        {
            "age": i * 7 % 30,
            "rate": i / 4 + 0.1,
            "town": np.array(["A", "B"])[i % 2],
            "open": i % 3 == 0,
            "label": np.array(["no", "yes"])[i % 2],
        }
    )


WRITERS = {
    "parquet": lambda f, path: f.to_parquet(path),
    "feather": lambda f, path: f.to_feather(path),
    "csv": lambda f, path: f.to_csv(path, index=False),
    "csv.gz": lambda f, path: f.to_csv(path, index=False),
    "tsv": lambda f, path: f.to_csv(path, index=False, sep="\t"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_frame_comes_back_as_it_was_written(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"mine.{kind}"
    WRITERS[kind](frame(), file)
    found = read(file, knobs(target="label")).frame
    pd.testing.assert_frame_equal(found, frame(), check_dtype=False)
    assert [d.kind for d in found.dtypes[:2]] == ["i", "f"]
    assert found["open"].dtype == bool


def test_whole_numbers_of_parquet_stay_whole_beside_a_missing_one(tmp_path: Path) -> None:
    whole = frame().assign(age=pd.array([None, *range(1, ROWS)], dtype="Int64"))
    whole.to_parquet(tmp_path / "mine.parquet")
    understood = read(tmp_path / "mine.parquet", knobs(target="label"))
    assert understood.frame["age"].tolist() == list(range(1, ROWS))
    assert understood.frame["age"].dtype == np.int64
    assert "1 row dropped that lack a value (age 1; first in row 1)" in understood.notes[0]


def test_numbers_that_parquet_does_not_keep_as_categories_are_told(tmp_path: Path) -> None:
    frame().assign(grade=pd.Categorical([i % 3 for i in range(ROWS)])).to_parquet(tmp_path / "m")
    found = read(tmp_path / "m", knobs(target="label"))
    assert found.kinds["grade"] == "number"
    assert "column grade was a category" in found.notes[0]


def test_bytes_of_a_typed_file_are_texts(tmp_path: Path) -> None:
    texts = np.array([b"Bern", "Zürich".encode()], dtype=object)[np.arange(ROWS) % 2]
    frame().assign(town=texts).to_parquet(tmp_path / "m")
    found = read(tmp_path / "m", knobs(target="label"))
    assert found.frame["town"].unique().tolist() == ["Bern", "Zürich"]


def test_whole_numbers_that_a_float_rounds_are_told() -> None:
    found = understood(key=np.arange(ROWS, dtype=np.uint64) // 2 + np.uint64(2**63))
    assert "is rounded, as whole numbers above 2^53 are" in found.notes[0]


def test_a_cut_parquet_file_is_refused(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "mine.parquet")
    raw = (tmp_path / "mine.parquet").read_bytes()
    (tmp_path / "mine.parquet").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match="must be a whole file of parquet"):
        read(tmp_path / "mine.parquet", knobs(target="label"))


def understood(**columns: Any) -> Understood:
    return from_typed(frame().assign(**columns), "typed", knobs(target="label"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (pd.Series(pd.date_range("2024-01-01", periods=ROWS)), "dates or times"),
        (pd.Series(pd.to_timedelta(np.arange(ROWS) % 9 * 1.5, unit="h")), "dates or times"),
        (pd.Series([*range(ROWS - 1), np.inf], dtype=float), "finite numbers, got .inf. .row 40"),
        (pd.Series([f"c{i}x" for i in range(ROWS)]), "names that come again"),
    ],
)
def test_what_a_file_is_refused_for_a_frame_is_too(values: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        understood(extra=values)


def test_numbers_of_a_frame_can_be_declared_names() -> None:
    found = from_typed(frame(), "typed", knobs(target="label", categorical=["age", "rate"])).frame
    assert (found["age"][1], found["rate"][1]) == ("7", "0.35")


def test_categories_stay_names_though_they_are_numbers() -> None:
    found = understood(extra=pd.Categorical([i % 3 for i in range(ROWS)]))
    assert found.kinds["extra"] == "name"
    assert found.frame["extra"].unique().tolist() == ["0", "1", "2"]


def test_texts_of_a_frame_that_are_numbers_are_read_as_such() -> None:
    found = understood(extra=[f"{i},5" for i in range(ROWS)])
    assert found.frame["extra"].tolist() == [i + 0.5 for i in range(ROWS)]
    assert "'0,5' (row 1)" in found.notes[0]


def test_arrays_of_numpy_are_refused_with_what_reads_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=np.zeros((9, 4)), y=np.zeros(9))
    with pytest.raises(ValueError, match=r"holds arrays of numpy; pictures are taken by data=npz"):
        read(tmp_path / "mine.npz", Knobs(target="label"))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"PK\x03\x04 cut", "whole file"),
        (b"\x1f\x8bcut", "whole file"),
        (b"\xd0\xcf\x11\xe0 sheet", "workbook; save the sheet as CSV"),
        (b"a,b\n1,\x002\n", "holds a NUL in line 2"),
        (b"<!doctype html>\n<html>", "web page"),
        (b"label\nx\ny\n", "no feature beside the target"),
        (b"a^label\n1^x\n2^y\n", "no column 'label', but one column alone: say data.separator"),
        (b' [ {"a": 1, "label": "x"}]', "is JSON; write it as CSV"),
        (b'{"a": 1, "label": "x"}\n{"a": 2, "label": "y"}\n', "is JSON; write it as CSV"),
        (b"% of UCI\n\n@RELATION x\n@attribute a numeric\n@data\n1\n", "is ARFF; write it as"),
    ],
)
def test_what_is_no_table_is_refused_with_advice(raw: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(raw)
    with pytest.raises(ValueError, match=says):
        read(tmp_path / "mine.csv", Knobs(target="label"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"separator": "ab"}, "data.separator must be one sign"),
        ({"decimal": ";"}, "data.decimal must be point or comma, got ';'"),
        ({"decimal": "comma", "thousands": ","}, "data.thousands must be another sign"),
        ({"encoding": "utf-99"}, "data.encoding must be a codec of Python"),
        ({"encoding": "utf-16"}, "data.encoding must be that of mine.csv, got utf-16"),
        ({"header": "maybe"}, "data.header must be true or false, got 'maybe'"),
        ({"drop": "rats"}, "no column 'rats'; did you mean rate?"),
        ({"drop": "label"}, "data.drop must leave the target"),
        ({"decimal": "comma"}, "column rate: numbers must have the decimal sign ',', '0.1'"),
    ],
)
def test_a_knob_that_does_not_fit_says_so(given: Any, says: str, tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(ValueError) as stop:  # noqa: PT011
        read(tmp_path / "mine.csv", knobs(target="label", **given))
    assert says in str(stop.value)


@pytest.mark.parametrize(
    "word", ["\\N", "...", "(blank)", "a'b", 'a"b', "a\\", 'a\\"b', "a\\\\b", "<0", "07", "null"]
)
def test_an_override_that_is_told_means_what_it_says(word: str) -> None:
    told = shlex.split(override("missing_marks", word, "x"))
    found = OverridesParser.create().parse_overrides(told)[0].value()
    assert listed(found) == [word, "x"]


def test_each_knob_reads_what_it_names(tmp_path: Path) -> None:
    text = "x#y#label\n1'234,5#?#a\n2'000,25#gray#b\n3,5#gray#a\n"
    (tmp_path / "mine.txt").write_bytes(text.encode("cp437"))
    found = read(
        tmp_path / "mine.txt",
        knobs(
            target="label",
            separator="#",
            decimal="comma",
            thousands="apostrophe",
            encoding="cp437",
            missing_marks="?",
            missing="category",
        ),
    ).frame
    assert found["x"].tolist() == [1234.5, 2000.25, 3.5]
    assert found["y"].isna().tolist() == [True, False, False]

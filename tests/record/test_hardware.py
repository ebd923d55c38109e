"""A run says what it ran on, and a report whose clock its times are."""

from typing import Any

from made_runs import cells, run

from moatbench.record.hardware import hardware, told
from moatbench.report.measure.worst import fields
from moatbench.report.select.selection import select
from moatbench.report.write.methods import notices, paragraph

HERE = {"cpu": "EPYC", "cores": "2", "memory": "8 GiB", "threads": "1", "blas": "b", "system": "L"}
THERE = {**HERE, "cpu": "Xeon"}


def test_the_machine_is_named() -> None:
    import scipy.linalg  # noqa: F401  # brings the BLAS that is to be named

    found = hardware(3)
    assert found.keys() == HERE.keys()
    assert all(found.values())
    assert int(found["cores"]) >= 1
    assert found["threads"] == "3"
    assert "unknown" not in found["blas"]


def test_it_is_said_in_a_line_where_it_is_known() -> None:
    assert told(HERE) == "EPYC, 2 cores, 8 GiB, BLAS on 1 thread (b), L"
    assert "BLAS on 8 threads" in told(HERE | {"threads": "8"})
    assert told({}) == ""


def of(*machines: dict[str, str]) -> Any:
    return [run("none", seed=seed, hardware=on) for seed, on in enumerate(machines)]


def test_a_report_names_the_clock() -> None:
    found = select(of(HERE, HERE))
    assert "Times are by the clock of EPYC, 2 cores" in paragraph(found, fields(found))
    assert not any("machines" in line for line in notices(found, fields(found)))


def test_times_of_different_machines_are_told_apart() -> None:
    found = select(of(HERE, THERE, THERE))
    (line,) = [line for line in notices(found, fields(found)) if "different machines" in line]
    assert "1 run on EPYC" in line
    assert "2 runs on Xeon" in line
    assert "Xeon" in paragraph(found, fields(found))


def test_runs_that_do_not_tell_are_no_different_machine() -> None:
    found = select(of({}, HERE))
    assert not any("machines" in line for line in notices(found, fields(found)))
    assert cells("honest", *of({}))

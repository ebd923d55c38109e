"""What a sweep says at its end."""

from moatbench.cli.say import failures
from moatbench.sweep.manifest import Entry
from moatbench.sweep.progress import Job


def job(number: int, why: str) -> Job:
    return Job(Entry(number, f"/sweep/{number}", error=why, done=True), None)


def test_a_run_that_failed_alone_is_told_with_its_folder() -> None:
    assert list(failures([job(3, "no pool")])) == ["run 3 failed: no pool (see /sweep/3)"]


def test_runs_that_failed_alike_take_a_line() -> None:
    lines = list(failures([*(job(n, "no pool") for n in range(20)), job(20, "no victim")]))
    assert lines == [
        "20 runs (0, 1, 2, 3, 4, 5, 6, 7 and 12 more) failed: no pool (see /sweep/0)",
        "run 20 failed: no victim (see /sweep/20)",
    ]

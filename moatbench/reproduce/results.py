"""What was measured, in a CSV that grows run by run: an interruption loses nothing."""

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from math import nan
from pathlib import Path
from typing import Any, TextIO

from moatbench.reproduce.spec import Rerun

Job = tuple[Rerun, int]  # a row and a seed
FINISHED, FAILED = "finished", "failed"


@dataclass(frozen=True)
class Measured:
    """A checkpoint of a run, or the one line of a run that failed.

    Args:
        row: key of the row.
        settings: hash of what the row says.
        seed: of the run.
        status: `finished` or `failed`.
        points: checkpoints of the run; a run with fewer lines was cut short.
        queries: of the checkpoint, as are the fields below.
        budget: the same in the row's unit.
        test: 1 - R_test.
        uniform: 1 - R_unif on valid inputs.
        cube: 1 - R_unif on the raw box; NaN where all of it is valid.
        tv: total variation on uniform inputs; NaN without confidences.
        seconds: of the attack so far.
        cpu: seconds of the whole run, training the victim and judging included.
        converged: whether the attack's fit was.
        unknowns: of the victim.
        code: version of the code that measured it.
        note: the attack's own, or why the run failed.
    """

    row: str
    settings: str
    seed: int
    status: str
    points: int = 0
    queries: int = 0
    budget: float = nan
    test: float = nan
    uniform: float = nan
    cube: float = nan
    tv: float = nan
    seconds: float = nan
    cpu: float = nan
    converged: int = 0
    unknowns: int = 0
    code: str = ""
    note: str = ""


COLUMNS: dict[str, Any] = {field.name: field.type for field in fields(Measured)}


class Results:
    """The file, and what stands in it.

    Args:
        path: of the CSV; read if it is there.

    Raises:
        ValueError: the file has other columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs: dict[tuple[str, str, int], list[Measured]] = {}
        for record in _read(path):
            self._take(record)

    def add(self, records: Sequence[Measured]) -> None:
        """Append a run, in one piece."""
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            _write(file, records, header=new)
        for record in records:
            self._take(record)

    def forget(self, rows: Collection[Rerun]) -> None:
        """Start over with these rows; what else was measured stays."""
        gone = {(row.key, row.settings) for row in rows}
        self._runs = {run: found for run, found in self._runs.items() if run[:2] not in gone}
        if self.path.exists():
            rewritten = self.path.with_suffix(".tmp")
            with rewritten.open("w", newline="") as file:
                _write(file, [r for run in self._runs.values() for r in run], header=True)
            rewritten.replace(self.path)

    def of(self, row: Rerun, seed: int) -> list[Measured]:
        """Return a run's checkpoints, or the line that says why it failed, or nothing."""
        run = self._runs.get((row.key, row.settings, seed), [])
        whole = bool(run) and (run[0].status == FAILED or len(run) == run[0].points)
        return run if whole else []

    def finished(self, row: Rerun, seed: int) -> bool:
        """Whether a run need not be run again; a failed one may work out next time."""
        run = self.of(row, seed)
        return bool(run) and run[0].status == FINISHED

    def _take(self, record: Measured) -> None:
        run = self._runs.setdefault((record.row, record.settings, record.seed), [])
        again = record.status == FAILED or (run and record.queries <= run[-1].queries)
        if again or (run and run[-1].status == FAILED):
            run.clear()  # a later attempt replaces an earlier one
        run.append(record)


def _write(file: TextIO, records: Iterable[Measured], header: bool) -> None:
    writer = csv.DictWriter(file, list(COLUMNS), lineterminator="\n")
    if header:
        writer.writeheader()
    for record in records:
        cells = asdict(record).items()
        # Six digits tell shares of 10,000 points apart
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in cells})


def _read(path: Path) -> list[Measured]:
    if not path.exists():
        return []
    text = path.read_text()
    if not text.endswith("\n"):  # a line was cut off in its middle, and the next would join it
        text = text[: text.rfind("\n") + 1]
        path.write_text(text)
    lines = list(csv.DictReader(text.splitlines()))
    if lines and list(lines[0]) != list(COLUMNS):
        raise ValueError(f"{path} is from another version of this command; move it out of the way")
    return [_record(line) for line in lines]


def _record(line: dict[str, str]) -> Measured:
    given: dict[str, Any] = {name: COLUMNS[name](text) for name, text in line.items()}
    return Measured(**given)

"""Numbers of a row over its seeds, and how they are written."""

from collections.abc import Callable, Sequence
from math import floor, inf, isnan
from statistics import median

from moatbench.reproduce.results import FAILED, Measured, Results
from moatbench.reproduce.spec import Rerun

NOT_RUN = "not run"
Runs = list[list[Measured]]  # one list of checkpoints a seed


def runs(row: Rerun, results: Results) -> Runs:
    """Return the finished runs of a row."""
    found = (results.of(row, seed) for seed in range(row.seeds))
    return [run for run in found if run and run[0].status != FAILED]


def trouble(row: Rerun, results: Results) -> str:
    """Say why a row has no number: the reason of its first failure, or that it was not run."""
    for seed in range(row.seeds):
        run = results.of(row, seed)
        if run and run[0].status == FAILED:
            return f"failed: {run[0].note}"
    return "" if any(results.of(row, seed) for seed in range(row.seeds)) else NOT_RUN


def at(runs: Runs, queries: int, field: str) -> list[float]:
    """Collect a number over the seeds, at a checkpoint."""
    return [getattr(r, field) for run in runs for r in run if r.queries == queries]


def nominal(row: Rerun, record: Measured) -> float:
    """Return the budget that a checkpoint was rounded from."""
    return min(row.budgets, key=lambda budget: abs(budget - record.budget))


def by_budget(row: Rerun, runs: Runs, field: str) -> dict[float, list[float]]:
    """Collect a number over the seeds, for each budget."""
    found: dict[float, list[float]] = {}
    for run in runs:
        for record in run:
            found.setdefault(nominal(row, record), []).append(getattr(record, field))
    return found


def stolen(run: Sequence[Measured], goal: tuple[float, float]) -> Measured | None:
    """Return the first checkpoint from which on a run stays at the goal."""
    first = None
    for record in reversed(run):
        if record.test < goal[0] or record.uniform < goal[1]:
            break
        first = record
    return first


def per_cent(value: float) -> str:
    """Write a share in per cent, rounded down: 100.00 is no disagreement at all."""
    return "-" if isnan(value) else f"{floor(value * 1e4 + 1e-6) / 100:.2f}"


def fidelity(values: Sequence[float]) -> str:
    """Write the median and, where there is one, the range."""
    return spread(values, per_cent)


def seconds(values: Sequence[float]) -> str:
    """Write the median time."""
    return duration(median(values)) if values else "-"


def duration(value: float) -> str:
    """Write seconds to two figures, no finer than hundredths."""
    if isnan(value):
        return "-"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def count(value: float) -> str:
    """Write a number of queries; infinite is not reached."""
    return "not reached" if value == inf else f"{value:,.0f}"


def variation(values: Sequence[float]) -> str:
    """Write the median total variation."""
    known = [v for v in values if not isnan(v)]
    return f"{median(known):.0e}" if known else "-"


def spread(values: Sequence[float], write: Callable[[float], str]) -> str:
    """Write the median and, where there is one, the range."""
    known = sorted(v for v in values if not isnan(v))
    if not known:
        return "-"
    least, greatest = write(known[0]), write(known[-1])
    middle = write(median(known))
    return middle if least == greatest else f"{middle} [{least}, {greatest}]"

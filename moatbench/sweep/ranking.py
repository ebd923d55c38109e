"""The table that ends a sweep: defenses by what is stolen behind them, not a row a run."""

from collections.abc import Iterator, Sequence
from math import isnan
from textwrap import shorten

from moatbench.display.answer import WIDTH, filled
from moatbench.display.table import of_sweep as of_runs
from moatbench.display.table import text
from moatbench.record.curve import read
from moatbench.record.flag import NOTE
from moatbench.record.summary import CONFIRMATION
from moatbench.report.measure.cases import cases, verdict_of
from moatbench.report.measure.leaderboard import Standing, standings
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.worst import Field, fields, over_seeds
from moatbench.report.select.consistency import MixedSelection
from moatbench.report.select.selection import select
from moatbench.sweep.progress import Job
from moatbench.tracking.log import STATES
from moatbench.tracking.read import Logged
from moatbench.verdict.names import shown
from moatbench.verdict.words import named, paid_briefly

NAME, ATTACK = 28, 25  # letters of a cell
HEADS = ("stolen, %", "95 % interval", "uniform")


def of_sweep(jobs: Sequence[Job]) -> str:
    """Rank what a sweep measured: a table and a verdict for each model.

    Runs that cannot be compared, such as those of different budgets, have a row each.
    """
    summaries = [job.summary for job in jobs]
    if all(s is not None and s.role == CONFIRMATION for s in summaries):
        return of_runs(summaries)  # the worst attack alone ranks nothing
    try:
        found = fields(select([logged(job) for job in jobs if job.summary is not None]))
    except (MixedSelection, OSError, ValueError) as told:
        alone = of_runs(summaries)
        ran = any(s is not None and s.finals for s in summaries)
        return f"{alone}\n\n{filled(f'no ranking: {told}')}" if ran else alone
    advised = jobs[0].entry.advise  # the advice that follows is the verdict
    parts = [_of_model(field, advised=advised) for field in found]
    skipped = [s for s in summaries if s is not None and s.status == "not_applicable"]
    if skipped:
        parts.append(
            filled(f"{len(skipped)} runs do not apply: {skipped[0].title}: {skipped[0].reason}")
        )
    return "\n\n".join(parts)


def logged(job: Job) -> Logged:
    """Return a run of this sweep as a store would give it, from its folder."""
    summary = job.summary
    assert summary is not None, "a run that left nothing has no record"
    file = job.folder / "curve.csv"
    rows = read(file) if file.exists() else []
    state, place = STATES.get(summary.status, "FINISHED"), str(job.folder)
    return Logged(place, summary.title, state, summary.started, {"sweep": place}, summary, rows)


def _of_model(field: Field, *, advised: bool) -> str:
    rows = standings(field)
    several = len(rows) > 1 or len(field.ran) == 1
    seeds = len(field.seeds)
    title = (
        f"{field.setting}: {field.checkpoints[-1]:,} queries, {seeds} seed{'s' * (seeds > 1)}, "
        f"the worst of {len(field.ran)} attack{'s' * (len(field.ran) > 1)}"
    )
    table = _by_defense(field, rows) if several else _by_attack(field, rows[0])
    said = [] if advised else [filled(verdict_of(field, rows))]
    return "\n\n".join([title, table, *said])


def _by_defense(field: Field, rows: Sequence[Standing]) -> str:
    """Show the defenses, the one behind which least is stolen first."""
    pays = [paid_briefly(case) for case in cases(field, rows)]
    heads = ["defense", "worst attack", "customers pay", *HEADS]
    lines = [
        [
            _cut(shown(row.defense), NAME),
            _cut(shown(str(row.test)), ATTACK),
            "",
            *_numbers(row.test.value),
            _percent(row.uniform.value.mean),
        ]
        for row in rows
    ]
    room = WIDTH - max(map(len, text(heads, lines, 3).splitlines())) + len(heads[2])
    full = [[*x[:2], _cut(p, room), *x[3:]] for x, p in zip(lines, pays, strict=True)]
    return "\n".join([text(heads, full, 3), *_marks(rows)])


def _marks(rows: Sequence[Standing]) -> Iterator[str]:
    """Say of each mark of grade A or B which rows carry it."""
    of: dict[str, list[str]] = {}
    for row in rows:
        for mark in row.marks:
            if mark.grade != NOTE:
                of.setdefault(str(mark), []).append(shown(row.defense))
    for words, defenses in sorted(of.items()):
        yield _cut(f"{words}: {named(defenses, 8)}", WIDTH)


def _by_attack(field: Field, row: Standing) -> str:
    """Show the attacks on the only defense, the strongest first."""
    ends = {
        attack: (over_seeds(group, "fidelity_test"), over_seeds(group, "fidelity_uniform"))
        for attack, group in field.against(row.defense).items()
    }
    ranked = sorted(ends.items(), key=lambda end: (isnan(m := end[1][0].mean), -m))
    lines = [
        [_cut(shown(attack), NAME), *_numbers(test), _percent(uniform.mean)]
        for attack, (test, uniform) in ranked
    ]
    table = text([f"attack on {_cut(shown(row.defense), NAME)}", *HEADS], lines)
    return "\n".join([table, *_marks([row])])


def _numbers(value: Interval) -> Iterator[str]:
    yield _percent(value.mean)
    yield "-" if isnan(value.low) else f"{100 * value.low:.1f} to {100 * value.high:.1f}"


def _percent(share: float) -> str:
    return "-" if isnan(share) else f"{100 * share:.1f}"


def _cut(words: str, most: int) -> str:
    return shorten(words, most, placeholder=" ..") if len(words) > most else words

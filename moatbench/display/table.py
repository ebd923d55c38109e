"""Tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from moatbench.record import flag
from moatbench.record.columns import COLUMNS, FLOORS, OF_A_GROUP, Column, shown
from moatbench.record.curve import LEVELS, Row, by_attack
from moatbench.record.harm import hardest_hit, worst_of
from moatbench.record.summary import FAILED, FINISHED, Summary
from moatbench.verdict.names import shown as part_name
from moatbench.verdict.words import of_run as verdict_of

GROUPS = ("refused", *OF_A_GROUP)
TIMES = {  # a query
    "ms added": ("honest_seconds_added", 1e3),
    "s waited": ("honest_seconds_waited", 1.0),
}


def text(header: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Lay a table out: the first `words` columns to the left, the numbers behind to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * w for w in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if place < words else cell.rjust(w)
            for place, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def of_all(summary: Summary, rows: Sequence[Row]) -> str:
    """Show all that a finished run measured."""
    head = [
        f"{part_name(name)} does not apply: {reason}"
        for name, reason in summary.not_applicable.items()
    ]
    legend = (
        "fidelity on test / uniform inputs, in %, by queries; * the fit did not converge, "
        "~ it had not begun"
    )
    parts = [
        verdict_of(summary),
        "\n".join(head),
        f"{legend}\n{of_floor(summary)}",
        of_run(summary, rows),
        of_honest(summary, rows),
        of_groups(summary),
        of_watermark(rows),
        of_flags(summary),
    ]
    return "\n\n".join(part for part in parts if part)


def of_run(summary: Summary, rows: Sequence[Row]) -> str:
    """Show a run: a line for each attack, fidelity on test/uniform at each checkpoint."""
    budgets = summary.checkpoints
    header = ["attack", *(f"{q:,}" for q in budgets), "gain"]
    header += [f"to {level} %" for level in LEVELS]
    lines = []
    for attack, curve in by_attack(rows).items():
        at = {row["queries"]: row for row in curve}
        cells = [_fidelity(at[q]) if q in at else "-" for q in budgets]
        cells.append(_pair(curve[-1], "gain"))
        lines.append(
            [part_name(attack), *cells, *(_queries_to(summary, attack, v) for v in LEVELS)]
        )
    return text(header, lines)


def of_floor(summary: Summary) -> str:
    """Say in a line what the gain is above; '' where a run does not tell."""
    if summary.floor is None:
        return ""
    scores = _pair(summary.floor_scores, "fidelity")
    return f"gain is above {FLOORS[summary.floor]} ({scores} %), in % of what that leaves"


def of_honest(summary: Summary, rows: Sequence[Row]) -> str:
    """Show what honest customers saw by the end of each attack, and those with unusual inputs."""
    last = {attack: curve[-1] for attack, curve in by_attack(rows).items()}
    honest, shifted = shown("terminal", "honest"), shown("terminal", "shifted")
    lines = []
    for attack, row in last.items():
        seconds = summary.summaries.get(attack, {})
        times = [_time(_scaled(seconds.get(key), by)) for key, by in TIMES.values()]
        lines.append([part_name(attack), *_cells(row, honest), *times])
    ours = text(["honest customers under", *(c.heading for c in honest), *TIMES], lines)
    theirs = [[part_name(attack), *_cells(row, shifted)] for attack, row in last.items()]
    return f"{ours}\n\n{text(['shifted customers under', *(c.heading for c in shifted)], theirs)}"


def of_groups(summary: Summary) -> str:
    """Show what a subgroup of customers lost, and the class that is hit hardest; '' for nobody."""
    harm = worst_of(summary.harm.values())
    chosen = [group for group in harm if not group.startswith("class ")]
    chosen += [worst] if (worst := hardest_hit(harm)) else []
    if not chosen:
        return ""
    heads = ["customers", "rows", *(COLUMNS[f"honest_{name}"].heading for name in GROUPS)]
    lines = [
        [group, f"{harm[group]['rows']:.0f}", *(_number(harm[group].get(name)) for name in GROUPS)]
        for group in chosen
    ]
    return text(heads, lines)


def of_flags(summary: Summary) -> str:
    """Say what the run says against itself, the gravest first."""
    names = {grade: f"{grade} {says.partition(':')[0]}:" for grade, says in flag.GRADES.items()}
    grave = sorted(one for one in summary.flags if one.grade != flag.NOTE)
    lines = [f"{names[one.grade]:<12} {one.text}" for one in grave]
    notes = [one for one in summary.flags if one.grade == flag.NOTE]
    if notes:
        lines += [f"{names[flag.NOTE]:<12} {one.text}" for one in notes]
    return "\n".join(lines)


def of_watermark(rows: Sequence[Row]) -> str:
    """Show what the watermark says of each attack's last surrogate; '' where none was planted."""
    last = {attack: curve[-1] for attack, curve in by_attack(rows).items()}
    known = {a: row for a, row in last.items() if _is_number(row.get("watermark_pairs"))}
    if not known:
        return ""
    lines = [
        [
            part_name(attack),
            f"{row['watermark_pairs']:.0f}",
            _number(row["watermark_agreement"]),
            _number(row["watermark_independent"]),
            f"{row['watermark_p']:.2g}" if _is_number(row["watermark_p"]) else "-",
        ]
        for attack, row in known.items()
    ]
    return text(["watermark in", "marks told", "agrees", "by chance", "p"], lines)


def of_sweep(runs: Sequence[Summary | None]) -> str:
    """Show a sweep: a line for each run; None is one that ended without a word."""
    header = ["run", "data", "victim", "defense", "attack", "seed", "status", "test", "uniform"]
    header += ["to 95 %", "marks"]
    found = [run for run in runs if run is not None]
    lines = [[str(number), *_of_sweep(run, found)] for number, run in enumerate(runs)]
    return text(header, lines, words=7)


def _of_sweep(run: Summary | None, runs: Sequence[Summary]) -> list[str]:
    if run is None:
        return [*"?????", FAILED, "-", "-", "-", ""]
    parts = map(part_name, (run.data, run.victim, _defense(run, runs), run.attack))
    names = [*parts, str(run.seed)]
    # A run that failed on the way has numbers for smaller budgets: not to be compared here
    finals = run.finals if run.status == FINISHED else {}
    scores = [_number(finals.get(f"final_fidelity_{s}")) for s in ("test", "uniform")]
    to_95 = _queries_to(run, run.headline, 95) if finals else "-"
    return [*names, run.status, *scores, to_95, flag.shown(run.marks)]


def _defense(run: Summary, runs: Sequence[Summary]) -> str:
    """Name a defense; where its runs differ in knobs, with those: `rounding (decimals=1)`."""
    same = [other.knobs for other in runs if other.defense == run.defense]
    differing = [
        f"{knob.rpartition('.')[2]}={value}"
        for knob, value in run.knobs.items()
        if knob.startswith("defense.") and any(str(o.get(knob)) != str(value) for o in same)
    ]
    return f"{run.defense} ({', '.join(differing)})" if differing else run.defense


def _fidelity(row: Row) -> str:
    sign = "" if row["converged"] else "*" if row.get("begun", 1) else "~"
    return _pair(row, "fidelity") + sign


def _pair(row: Mapping[str, Any], metric: str) -> str:
    """Show a metric on test/uniform inputs, in %."""
    values = [row.get(f"{metric}_{sample}") for sample in ("test", "uniform")]
    return "/".join(f"{100 * v:.2f}" if _is_number(v) else "-" for v in values)


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    return [_number(row.get(c.name)) for c in columns]


def _time(value: float | None) -> str:
    """Show a time; what no clock could tell from nothing is no measured zero."""
    return "~0" if value == 0 else _number(value)


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else by * value


def _queries_to(summary: Summary, attack: str, level: int) -> str:
    """Queries to a level of test fidelity; a bound where it lies outside the checkpoints."""
    scalars, budgets = summary.summaries[attack], summary.checkpoints
    reached = scalars.get(f"queries_to_{level}")
    if reached is None:
        return f"> {budgets[-1]:,}"
    return f"<= {int(reached):,}"


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, float | int) and value == value


def _number(value: Any) -> str:
    return f"{value:.4f}" if _is_number(value) else "-"

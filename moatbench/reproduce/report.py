"""docs/reproduction.md, written from what was measured."""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from moatbench.reproduce import of_figures, of_tables, over_seeds, picture
from moatbench.reproduce.markdown import Notes, table
from moatbench.reproduce.over_seeds import NOT_RUN
from moatbench.reproduce.play import THREADS
from moatbench.reproduce.results import FAILED, Results
from moatbench.reproduce.sections import jobs_of
from moatbench.reproduce.spec import Section

PACKAGES = ("numpy", "scipy", "scikit-learn", "hydra-core")

HEAD = """# Reproduction of Tramèr et al. 2016

Tables 4, 6, 7 and Figures 4 to 7 of "Stealing Machine Learning Models via Prediction APIs" (USENIX
Security 2016), rerun with the parts of this package. This file is written by the command below;
what it measured, run by run, is in [{csv}]({csv}).

| | |
|---|---|
| command | `{command}` |
| date | {date} |
| code | {code} |
| versions | {versions} |
| machine | {machine} |
| processes | {workers}, with {threads} BLAS thread each |
| runs | {finished} finished, {failed} failed, {missing} not run |
| CPU minutes of all runs | {minutes:.1f} |
| minutes of this start of the command | {wall:.1f} |

**How to read it.** Fidelity is in per cent, 1 - R_test / 1 - R_unif as in the paper: the share of
the test data, and of 10,000 uniform inputs, on which the stolen and the undefended model give the
same label. "Uniform" draws valid inputs; "cube" draws from the raw box, in which one-hot groups are
not one-hot, as the paper's released code does. Ours is the median over seeds, with
[least, greatest] behind it where seeds differ; each seed has a split, a victim and an attack of its
own. Percentages are rounded down: 100.00 means no disagreement. TV is the total variation on
uniform inputs. Seconds are the attack's own on one thread, of a machine that may have been busy.
The paper's numbers are a reference, not a like-for-like comparison: its models are not public, and
ours are trained on the same data; the numbered notes say what differs.
"""


@dataclass(frozen=True)
class Effort:
    """How the command was called, and what it took.

    Args:
        command: as typed.
        workers: processes.
        wall: seconds of this start.
    """

    command: str
    workers: int
    wall: float


def write(out: Path, sections: Sequence[Section], results: Results, effort: Effort) -> None:
    """Write the report and its pictures; what was not run is shown as such.

    Args:
        out: the Markdown file; pictures go into the folder of the same name.
        sections: all of them, with the rows of this run.
        results: what was measured.
        effort: see there.
    """
    folder = out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_head(sections, results, effort, folder)]
    for section in sections:
        drawn = section.kind == "curves" and picture.draw(section, results, folder)
        image = f"{folder.name}/{section.key}.png" if drawn else ""
        parts.append(body(section, results, image))
    out.write_text("\n".join(parts), encoding="utf-8")


def body(section: Section, results: Results, image: str) -> str:
    """Write a section.

    Args:
        section: what is shown.
        results: what was measured.
        image: path of its picture, if it has one.
    """
    parts = [f"## {section.title}", section.about]
    if all(over_seeds.trouble(row, results) == NOT_RUN for row in section.rows):
        return "\n\n".join([*parts, "Not run yet."]) + "\n"
    notes = Notes()
    lay_out = {"budgets": of_tables.budgets, "goal": of_tables.goal, "curves": of_figures.curves}[
        section.kind
    ]
    header, lines = lay_out(section, results, notes)
    if section.kind == "goal":
        test, uniform = (f"{100 * g:g}" for g in section.goal)
        parts.append(
            "Of ours, the queries are counted from which on fidelity stays at "
            f"{test} / {uniform} or more, and the seconds up to there."
        )
    if image:
        parts.append(f"![{section.title}]({image})")
    if section.kind == "curves":
        parts.append(of_figures.claims(section, results))
    parts.append(table(header, lines))
    parts.append(notes.text())
    if section.absent:
        parts.append(section.absent)
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(sections: Sequence[Section], results: Results, effort: Effort, folder: Path) -> str:
    runs = [results.of(row, seed) for row, seed in jobs_of(sections)]
    there = [run[0] for run in runs if run]
    failed = sum(record.status == FAILED for record in there)
    return HEAD.format(
        csv=f"{folder.name}/{results.path.name}",
        command=effort.command,
        date=date.today().isoformat(),
        code=", ".join(sorted({record.code for record in there})) or "-",
        versions=", ".join(
            [f"Python {sys.version.split()[0]}", *(f"{p} {version(p)}" for p in PACKAGES)]
        ),
        machine=f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        workers=effort.workers,
        threads=THREADS,
        finished=len(there) - failed,
        failed=failed,
        missing=len(runs) - len(there),
        minutes=sum(r.cpu for r in there if r.status != FAILED) / 60,
        wall=effort.wall / 60,
    )


def _processor() -> str:
    """Name the processor; Linux tells it in a file, others through `platform`."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""All that is rerun, and how a part of it is chosen."""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from moatbench.reproduce.figures import FIGURE4, FIGURE5, FIGURE6, FIGURE7
from moatbench.reproduce.results import Job
from moatbench.reproduce.spec import Rerun, Section
from moatbench.reproduce.tables import SECTION7, TABLE4, TABLE6, TABLE7

SECTIONS = (TABLE4, TABLE6, TABLE7, FIGURE4, FIGURE5, FIGURE6, FIGURE7, SECTION7)
KEYS = tuple(section.key for section in SECTIONS)


def chosen(quick: bool, seeds: int | None) -> tuple[Section, ...]:
    """Return the sections with the rows, budgets and seeds of this run.

    Args:
        quick: what fits in five minutes on two cores.
        seeds: of every row, in place of its own number.
    """
    return tuple(replace(section, rows=_rows(section, quick, seeds)) for section in SECTIONS)


def jobs_of(sections: Iterable[Section]) -> list[Job]:
    """List the runs, seed by seed: an interrupted command has something of every row."""
    rows = [row for section in sections for row in section.rows]
    most = max((row.seeds for row in rows), default=0)
    return [(row, seed) for seed in range(most) for row in rows if seed < row.seeds]


def named(only: str) -> tuple[str, ...]:
    """Split `table4,figure7` into keys.

    Raises:
        ValueError: one of them is unknown.
    """
    keys = tuple(key.strip() for key in only.split(","))
    for key in keys:
        if key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ValueError(f"--only: unknown {key!r}{hint} Known: {', '.join(KEYS)}")
    return keys


def _rows(section: Section, quick: bool, seeds: int | None) -> tuple[Rerun, ...]:
    kept = (row.quickly() for row in section.rows) if quick else section.rows
    return tuple(replace(row, seeds=seeds or row.seeds) for row in kept if row)

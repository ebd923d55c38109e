"""The paper's tables: its numbers beside ours, a line a model."""

from math import inf

from moatbench.reproduce import over_seeds
from moatbench.reproduce.markdown import Cells, Notes, published
from moatbench.reproduce.results import Results
from moatbench.reproduce.spec import Published, Section


def budgets(section: Section, results: Results, notes: Notes) -> tuple[Cells, list[Cells]]:
    """Show what each budget buys."""
    header = ["model", "attack", "queries", "paper: test / uniform", "ours: test", "uniform"]
    header += ["cube", "TV", "paper: s", "ours: s", "seeds", "notes"]
    lines = []
    for row in section.rows:
        paper = {figure.queries: figure for figure in row.paper}
        runs, trouble = over_seeds.runs(row, results), over_seeds.trouble(row, results)
        start = [row.name, row.line]
        end = notes.numbers(row.differs)
        if trouble:
            lines.append([*start, trouble, *[""] * 8, end])
        for queries in sorted({r.queries for run in runs for r in run}):
            figure = paper.get(queries, Published(queries))
            test, uniform, cube, tv, seconds = (
                over_seeds.at(runs, queries, f)
                for f in ("test", "uniform", "cube", "tv", "seconds")
            )
            lines.append(
                [
                    *start,
                    f"{queries:,}",
                    published(figure),
                    over_seeds.fidelity(test),
                    over_seeds.fidelity(uniform),
                    over_seeds.fidelity(cube),
                    over_seeds.variation(tv),
                    "-" if figure.seconds is None else over_seeds.duration(figure.seconds),
                    over_seeds.seconds(seconds),
                    str(len(test)),
                    end,
                ]
            )
    return header, lines


def goal(section: Section, results: Results, notes: Notes) -> tuple[Cells, list[Cells]]:
    """Show how many queries a level takes."""
    header = ["model", "attack", "paper: queries", "paper: test / uniform", "ours: queries"]
    header += ["at the paper's: test", "uniform", "ours: s", "seeds", "notes"]
    trees = any(row.leaves for row in section.rows)
    if trees:
        header.insert(2, "paper: leaves")
    lines = []
    for row in section.rows:
        (paper,) = row.paper
        runs, trouble = over_seeds.runs(row, results), over_seeds.trouble(row, results)
        found = [over_seeds.stolen(run, section.goal) for run in runs]
        needed = [r.queries if r else inf for r in found]
        line = [row.name, row.line, *([str(row.leaves)] if trees else [])]
        line += [f"{paper.queries:,}", published(paper)]
        line += [
            trouble if not runs else over_seeds.spread(needed, over_seeds.count),
            over_seeds.fidelity(over_seeds.at(runs, paper.queries, "test")),
            over_seeds.fidelity(over_seeds.at(runs, paper.queries, "uniform")),
            over_seeds.seconds([r.seconds for r in found if r]),
            str(len(runs)),
            notes.numbers(row.differs) + (f" {trouble}" if runs and trouble else ""),
        ]
        lines.append(line)
    return header, lines

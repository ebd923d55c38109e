"""The paper's figures: fidelity at each budget, for each data set and on average."""

from collections.abc import Sequence
from statistics import mean

from moatbench.reproduce import over_seeds
from moatbench.reproduce.markdown import Cells, Notes, pair, table
from moatbench.reproduce.over_seeds import Runs
from moatbench.reproduce.results import Results
from moatbench.reproduce.spec import Rerun, Section

FIELDS = ("test", "uniform", "cube")


def curves(section: Section, results: Results, notes: Notes) -> tuple[Cells, list[Cells]]:
    """Show fidelity at each budget; of the largest, also the range, the queries and the time."""
    budgets = sorted({budget for row in section.rows for budget in row.budgets})
    header = ["data", "attack", *(f"{b:g} x" for b in budgets)]
    header += ["largest: queries", "test", "uniform", "cube", "s", "seeds", "notes"]
    lines = [_average(section, results, line, budgets) for line in lines_of(section)]
    for row in section.rows:
        runs, trouble = over_seeds.runs(row, results), over_seeds.trouble(row, results)
        end = notes.numbers(row.differs)
        if trouble:
            lines.append([row.name, row.line, trouble, *[""] * (len(header) - 4), end])
        if runs:
            lines.append([row.name, row.line, *_at_each(row, runs, budgets), *_last(runs), end])
    return header, lines


def lines_of(section: Section) -> list[str]:
    """Name the lines of a figure, in order."""
    return list(dict.fromkeys(row.line for row in section.rows))


def averaged(section: Section, results: Results) -> list[str]:
    """Name the data sets that every line of a figure has: others would not compare."""
    missing = {row.name for row in section.rows if not over_seeds.runs(row, results)}
    return [name for name in dict.fromkeys(row.name for row in section.rows) if name not in missing]


def averages(section: Section, results: Results, line: str, field: str) -> dict[float, list[float]]:
    """Average a line over data sets: for each budget that all of them have, a value a seed."""
    names = averaged(section, results)
    rows = [row for row in section.rows if row.line == line and row.name in names]
    tables = [over_seeds.by_budget(row, over_seeds.runs(row, results), field) for row in rows]
    shared = set.intersection(*(set(table) for table in tables)) if tables else set()
    return {
        budget: [mean(seed) for seed in zip(*(table[budget] for table in tables), strict=False)]
        for budget in sorted(shared)
    }


def _average(section: Section, results: Results, line: str, budgets: Sequence[float]) -> Cells:
    test, uniform = (averages(section, results, line, f) for f in ("test", "uniform"))
    cells = [pair(test.get(b, []), uniform.get(b, [])) for b in budgets]
    label = f"**average of {len(averaged(section, results))}**"
    return [label, line, *cells, *[""] * 7]


def _at_each(row: Rerun, runs: Runs, budgets: Sequence[float]) -> Cells:
    test, uniform = (over_seeds.by_budget(row, runs, f) for f in ("test", "uniform"))
    return [pair(test.get(b, []), uniform.get(b, [])) for b in budgets]


def _last(runs: Runs) -> Cells:
    last = [run[-1] for run in runs]
    fidelities = (over_seeds.fidelity([getattr(r, f) for r in last]) for f in FIELDS)
    seconds = over_seeds.seconds([r.seconds for r in last])
    return [f"{last[0].queries:,}", *fidelities, seconds, str(len(runs))]


def claims(section: Section, results: Results) -> str:
    """Show what the paper's text says of a figure, and ours there."""
    if not section.claims:
        return "The paper gives this figure without numbers in its text: figure only."
    lines = []
    for claim in section.claims:
        test, uniform = (averages(section, results, claim.line, f) for f in ("test", "uniform"))
        # Ours need not have gone as far as the paper
        ours = max((budget for budget in test if budget <= claim.alpha), default=None)
        told = "not run" if ours is None else f"{pair(test[ours], uniform[ours])} at {ours:g} x"
        lines.append([claim.line, claim.text, told])
    header = ["attack", "paper", "ours, on average: test / uniform"]
    return table(header, lines) + "\n\nAll else of the paper's is figure only."

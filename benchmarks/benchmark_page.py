"""The leaderboard of a report, and why rows carry A or B, in docs/benchmark.md.

Run: moatbench -m experiment=defenses_vs_suite report=report
     python benchmarks/benchmark_page.py --report report   # puts both tables into the page
     python benchmarks/benchmark_page.py --beside "tree on iris=FOLDER" ...  # a column a report
     python benchmarks/benchmark_page.py --check           # says what the page holds
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmark.md"
REASONS = "reasons"  # of which a report has none where no row carries A or B
TABLES = ("leaderboard", REASONS)
LEFT_OUT = {"gain", "refused", "front"}  # columns for which the page has no room
END = "<!-- / -->"
BESIDE = "beside"  # the worst cases of other victims
NONE = "No row carries A or B."


def main() -> None:
    """Renew the page, or say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--report", type=Path, help="folder of a report")
    parser.add_argument("--beside", nargs="+", metavar="TITLE=FOLDER", help="other reports")
    parser.add_argument("--check", action="store_true", help="change nothing")
    given = parser.parse_args()
    if given.report and not given.check:
        PAGE.write_text(renewed(PAGE.read_text(), given.report))
    if given.beside and not given.check:
        reports = {title: Path(folder) for title, folder in (s.split("=") for s in given.beside)}
        PAGE.write_text(replaced(PAGE.read_text(), BESIDE, side_by_side(reports)))
    rows, grave = (len(lines(part(PAGE.read_text(), name))[1:]) for name in TABLES)
    print(f"{PAGE.name} holds {rows} rows, and {grave} reasons for A or B")


def renewed(page: str, report: Path) -> str:
    """Put the report's tables between the marks `<!-- NAME -->` and `<!-- / -->` of a page."""
    for name in TABLES:
        file = report / "tables" / f"{name}.md"
        if name != REASONS and not file.exists():
            raise SystemExit(f"--report must be the folder of a report, got {report}: no {file}")
        table = narrowed(file.read_text()) if file.exists() else NONE
        page = replaced(page, name, table)
    return page


def replaced(page: str, name: str, table: str) -> str:
    """Put a table between the marks of its name."""
    head, rest = page.split(f"<!-- {name} -->", 1)
    return f"{head}<!-- {name} -->\n{table}\n{rest[rest.index(END) :]}"


def side_by_side(reports: Mapping[str, Path]) -> str:
    """Lay the worst cases of several reports side by side, a column a report, a row a defense."""
    cells: dict[str, dict[str, str]] = {}
    for title, folder in reports.items():
        heads, *rows = lines((folder / "tables" / "leaderboard.md").read_text())
        for row in (dict(zip(heads, row, strict=True)) for row in rows):
            shares = (row[head].split(" ±")[0] for head in ("test data", "uniform inputs"))
            cells.setdefault(row["defense"], {})[title] = f"{'/'.join(shares)} {row['by attack']}"
    table = [["defense", *reports], ["---"] * (1 + len(reports))]
    table += [[name, *(row.get(t, "-") for t in reports)] for name, row in sorted(cells.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def part(page: str, name: str) -> str:
    """Return what stands between the marks of a table."""
    return page.split(f"<!-- {name} -->", 1)[1].split(END, 1)[0]


def narrowed(table: str) -> str:
    """Leave out the columns that the page does not show, and the caption."""
    rows = lines(table, rule=True)
    kept = [place for place, head in enumerate(rows[0]) if head not in LEFT_OUT]
    return "\n".join(f"| {' | '.join(row[place] for place in kept)} |" for row in rows)


def lines(table: str, *, rule: bool = False) -> list[list[str]]:
    """Split a table into cells; without the line below the heads, unless it is asked for."""
    found = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in found]
    return [row for row in cells if rule or set(row[0]) - set("-:")]


if __name__ == "__main__":
    main()

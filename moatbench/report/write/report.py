"""moatbench-report: from the runs in MLflow to a page, figures, tables and one tidy file."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from moatbench.report.select.records import Selection
from moatbench.report.select.selection import select
from moatbench.report.write.output import require_free, written
from moatbench.tracking.read import logged_runs

if TYPE_CHECKING:
    import pandas as pd


def report(
    experiment: str, out: Path, uri: str, condition: str = "", scale: str = "auto"
) -> Selection:
    """Write a report of the finished runs of an experiment.

    Args:
        experiment: its name in MLflow (`name=` of the runs).
        out: the folder to write to: new, empty, or with an earlier report, which is replaced.
        uri: of the MLflow store.
        condition: MLflow's search syntax, to choose among the runs.
        scale: of fidelity in charts and figures, one of `draw.scale.SCALES`.

    Raises:
        StoreUnreadable: the store is gone, locked, or has no such experiment.
        MixedSelection: no finished run, or runs that cannot stand in one report.
        OutputRefused: the folder holds what is not ours.
    """
    require_free(out)
    selection = select(logged_runs(uri, experiment, condition))
    chosen = f" filter={shlex.quote(condition)}" if condition else ""
    chosen += f" scale={scale}" if scale != "auto" else ""
    source = f"moatbench-report tracking.uri={uri} experiment={shlex.quote(experiment)}{chosen}"
    with written(out) as folder:
        write(selection, folder, experiment, source, scale)
    return selection


def write(
    selection: Selection, folder: Path, experiment: str, source: str = "", scale: str = "auto"
) -> None:
    """Write every file of the report into a folder; `source` is the command that asked for it."""
    from moatbench.report.draw import figures
    from moatbench.report.measure.worst import fields
    from moatbench.report.write import methods
    from moatbench.report.write.contents import tables
    from moatbench.report.write.page import FLAGS, flags_page, page
    from moatbench.report.write.tables import latex, markdown, tex

    sorted_fields = fields(selection)
    made = tables(selection, sorted_fields)
    for sub in ("tables", "figures"):
        (folder / sub).mkdir()
    for table in made:
        _write(folder / "tables" / f"{table.name}.md", markdown(table))
        _write(folder / "tables" / f"{table.name}.tex", latex(table))
        if column := latex(table, narrow=True):
            _write(folder / "tables" / f"{table.name}_column.tex", column)
    drawn = figures.draw(sorted_fields, folder / "figures", scale)
    pictures = {
        name: (folder / "figures" / name).read_bytes()
        for name in drawn
        if name.startswith("strengths_page") and name.endswith(".svg")
    }
    text = methods.paragraph(selection, sorted_fields)
    _write(folder / "methods.md", f"{text}\n")
    _write(folder / "methods.tex", f"{tex(text)}\n")
    _write(folder / "commands.txt", "\n".join(methods.commands(selection)) + "\n")
    frame = tidy(selection)
    frame.to_csv(folder / "curves.csv", index=False)
    frame.to_parquet(folder / "curves.parquet", index=False)
    text = page(selection, sorted_fields, made, experiment, source, pictures, scale)
    _write(folder / "index.html", text)
    if any(table.name == "flags" for table in made):
        _write(folder / FLAGS, flags_page(made, experiment))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def tidy(selection: Selection) -> "pd.DataFrame":
    """All curves as one table: a row for each run, attack and checkpoint."""
    import pandas as pd

    return pd.DataFrame(
        {
            "victim": c.setting.victim,
            "data": c.setting.data,
            "defense": c.defense,
            **row,
            "attack": c.attack,
            "seed": c.seed,
            "run": c.run.id,
            "config_hash": c.run.summary.config_hash,
            "moatbench": c.run.summary.versions["moatbench"],
        }
        for c in selection.curves
        for row in c.rows
    )

"""The page: one HTML file with its data, styles and scripts inside, which asks for nothing."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from types import MappingProxyType

from moatbench import __version__
from moatbench.report.draw.chart_data import chart_data
from moatbench.report.draw.figures import slug
from moatbench.report.draw.heat_map import heat_maps
from moatbench.report.measure.cases import verdict_of
from moatbench.report.measure.worst import Field
from moatbench.report.select.records import Selection
from moatbench.report.write import methods
from moatbench.report.write.tables import Table, html

# Sections of the page: heading, chart, and the tables whose names begin so.
SECTIONS = (
    ("curves", "Fidelity against queries", "curves", ("settings",)),
    (
        "leaderboard",
        "Defenses at their price",
        "tradeoff",
        ("leaderboard", "reasons", "equal_cost"),
    ),
    ("strengths", "What each strength costs", "", ("strengths",)),
    ("multipliers", "What a defense multiplies", "", ("multipliers",)),
    ("attacks", "Attack by defense", "heat", ("attacks",)),
    ("monitors", "Monitors and honest customers", "", ("monitors", "honest")),
    ("comparisons", "Paired comparisons", "", ("paired",)),
    ("out", "What does not apply or is left out", "", ("not_applicable", "left_out")),
)
FLAGS = "flags.html"
CAPTIONS = {
    "curves": "A line for the worst case of each defense: the mean over seeds. Equal lines are "
    "one, and a label names them all under the pointer; few have a colour, and their 95 % interval "
    "as a band. The worst case takes, at each checkpoint, the attack with the worst mean (the tip "
    "names it). Hollow: a fit had not converged, a lower bound, or had not begun.",
    "tradeoff": "Left and low is where a defender wants to be. Filled, and on the dotted line: the "
    "Pareto front of the means. Bars: 95 % intervals. Defenses at one place share a label.",
    "strengths": "Worst-case fidelity on test data at the budget, against what honest customers "
    "pay: a line joins the strengths of a defense in their order, and the numbers are its knob's. "
    "Left and low is where a defender wants to be; no defense and labels only are to be beaten. "
    "Bars: 95 % intervals.",
    "heat": "At the budget, in %, mean over seeds; the strongest attacks to the left. Framed: the "
    "worst attack on the defense. A star: a lower bound.",
}


def page(
    selection: Selection,
    fields: Sequence[Field],
    made: Sequence[Table],
    experiment: str,
    source: str = "",
    pictures: Mapping[str, bytes] = MappingProxyType({}),
    scale: str = "auto",
) -> str:
    """Write the page.

    Args:
        selection: the runs.
        fields: them, sorted by setting.
        made: the tables.
        experiment: the name at the head.
        source: the command that asked for the page.
        pictures: SVG files of figures/ that the page shows as they are, by name.
        scale: of the charts at first: one of `scale.SCALES`.
    """
    parts = {
        "title": escape(f"{experiment}: moatbench report"),
        "heading": escape(experiment),
        "verdicts": _verdicts(fields, made),
        "lead": escape(_lead(selection, fields)),
        "nav": _nav(made),
        "notices": "\n".join(
            f"<p class=notice>{escape(line)}</p>" for line in methods.notices(selection, fields)
        ),
        "sections": "\n".join([*_sections(made, fields, pictures), _methods(selection, fields)]),
        "footer": escape(f"Written by moatbench-report {__version__}. {source}"),
        "css": _template("page.css"),
        "js": _template("charts.js"),
        # In a script element, only this could end the JSON early
        "data": json.dumps(chart_data(fields, scale), separators=(",", ":")).replace("</", "<\\/"),
    }
    return _filled("page.html", parts)


def flags_page(made: Sequence[Table], experiment: str) -> str:
    """Write the page of all flags, notes too; it needs no script."""
    parts = {
        "title": escape(f"{experiment}: flags"),
        "heading": escape(experiment),
        "sections": "\n".join(html(table) for table in _of(made, ("flags",))),
        "footer": escape(f"Written by moatbench-report {__version__}."),
        "css": _template("page.css"),
    }
    return _filled("flags.html", parts)


def _filled(name: str, parts: Mapping[str, str]) -> str:
    head, *rest = _template(name).split("{{")
    return head + "".join(parts[key] + tail for key, tail in (r.split("}}", 1) for r in rest))


def _verdicts(fields: Sequence[Field], made: Sequence[Table]) -> str:
    """Answer in sentences; of many models in a table, with the sentences folded below."""
    said = "\n".join(f"<p class=verdict>{escape(verdict_of(f))}</p>" for f in fields)
    if not (table := _of(made, ("answers",))):
        return said
    folded = f"<details><summary>The same in sentences</summary>\n{said}\n</details>"
    return "\n".join([html(table[0]), _table_files(table[0]), folded])


def _lead(selection: Selection, fields: Sequence[Field]) -> str:
    counts = (
        methods.counted(len(selection.runs), "finished run"),
        methods.counted(len({d for f in fields for d in f.defenses}), "defense"),
        methods.counted(len({a for f in fields for a in f.ran}), "attack"),
        methods.counted(len(fields), "victim"),
    )
    return (
        f"{counts[0]} ({_days(selection)}): {counts[1]} (the undefended API among them) against "
        f"{counts[2]} on {counts[3]}. How much of the model is stolen after how many queries, and "
        "what honest customers pay for the defense."
    )


def _days(selection: Selection) -> str:
    days = sorted(datetime.fromtimestamp(r.started, UTC).date() for r in selection.runs)
    return f"{days[0]}" if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _nav(made: Sequence[Table]) -> str:
    links = [(name, title) for name, title, chart, of in SECTIONS if chart or _of(made, of)]
    links += [("methods", "Methods and reproduction")]
    anchors = [f'<a href="#{name}">{escape(title)}</a>' for name, title in links]
    anchors += [f'<a href="{FLAGS}">{escape(t.title)}</a>' for t in _of(made, ("flags",))]
    return "".join(anchors)


def _sections(
    made: Sequence[Table], fields: Sequence[Field], pictures: Mapping[str, bytes]
) -> list[str]:
    out = []
    for name, title, chart, of in SECTIONS:
        shown = _of(made, of)
        if not (chart or shown):
            continue
        parts = [f"<section id={name}>", f"<h2>{escape(title)}</h2>"]
        parts += [_chart(chart, fields)] if chart else []
        parts += [_picture(n, svg) for n, svg in pictures.items() if n.startswith(f"{name}_")]
        parts += [html(table) + _table_files(table) for table in shown]
        out.append("\n".join([*parts, "</section>"]))
    return out


def _of(made: Sequence[Table], names: Sequence[str]) -> list[Table]:
    return [table for table in made if table.name.startswith(tuple(names))]


def _chart(name: str, fields: Sequence[Field]) -> str:
    controls = [f"<label>victim <select id={name}-setting></select></label>"]
    if name == "curves":
        controls.append("<label>attack <select id=curves-attack></select></label>")
    if name != "tradeoff":
        controls.append(f"<label>measure <select id={name}-metric></select></label>")
    legend = ""
    if name != "heat":
        controls.append(f"<label>scale <select id={name}-scale></select></label>")
        legend = (
            "<details class=choose><summary>Choose defenses</summary>"
            f"<div class=legend id={name}-legend></div></details>"
        )
    stems = [
        f"figures/{figure}_{slug(f.setting)}"
        for f in fields
        for figure in (heat_maps(f) if name == "heat" else (f"{name}_column", f"{name}_page"))
    ]
    return (
        f"<p class=caption>{escape(CAPTIONS[name])}</p><div class=controls>{''.join(controls)}"
        f"</div>{legend}<div class=chart id={name}-chart></div>{_files(stems, ('pdf', 'svg'))}"
    )


def _picture(name: str, svg: bytes) -> str:
    """Show a figure as it is in the paper, with links to its files."""
    stem, data = name.removesuffix(".svg"), base64.b64encode(svg).decode()
    files = [f"figures/{stem.replace('_page', width)}" for width in ("_column", "_page")]
    source = f'src="data:image/svg+xml;base64,{data}"'
    return (
        f"<p class=caption>{escape(CAPTIONS['strengths'])}</p><p class=picture>"
        f'<img alt="{escape(stem)}" {source}></p>{_files(files, ("pdf", "svg"))}'
    )


def _table_files(table: Table) -> str:
    """Link to a table's files; the one-column one where there is one."""
    stem = f"tables/{table.name}"
    narrow = any(column.narrow for column in table.columns)
    return _files([stem], ("md", "tex", *(("_column.tex",) if narrow else ())))


def _files(stems: Sequence[str], endings: Sequence[str]) -> str:
    """Link to files beside the page; nothing is fetched unless somebody clicks."""
    spans = (
        f"<span>{escape(stem)} "
        + " ".join(f'<a href="{escape(stem + e)}">{e}</a>' for e in map(_ending, endings))
        + "</span>"
        for stem in stems
    )
    return f"<p class=files>{''.join(spans)}</p>"


def _ending(name: str) -> str:
    return name if name.startswith("_") else f".{name}"


def _methods(selection: Selection, fields: Sequence[Field]) -> str:
    versions = [f"{p} {', '.join(v)}" for p, v in methods.environment(selection).items()]
    data = [
        f"{name}: " + ", ".join(f"{k} {v}" for k, v in known.items())
        for name, known in methods.data_hashes(selection).items()
    ]
    lines = methods.commands(selection)
    return "\n".join(
        [
            "<section id=methods><h2>Methods and reproduction</h2>",
            f"<p class=methods>{escape(methods.paragraph(selection, fields))}</p>",
            _files(["methods"], ("md", "tex")),
            f"<h3>Environment</h3><pre>{escape(chr(10).join(versions))}</pre>",
            f"<h3>Data</h3><pre>{escape(chr(10).join(data))}</pre>",
            f"<details><summary>Commands ({len(lines)})</summary>",
            f"<pre>{escape(chr(10).join(lines))}</pre></details>",
            _files(["curves"], ("csv", "parquet")) + "</section>",
        ]
    )


def _template(name: str) -> str:
    return (files("moatbench.report.write") / "template" / name).read_text(encoding="utf-8")

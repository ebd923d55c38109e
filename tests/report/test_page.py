"""The page of a report, in a browser."""

import json
import subprocess
from pathlib import Path

import pytest
from made_runs import cells, run, sample
from shop import tool

from moatbench.report.select.selection import select
from moatbench.report.write.report import write

BLOCKED = """<script>
window.blocked = [];
document.addEventListener("securitypolicyviolation", (e) => window.blocked.push(e.blockedURI));
</script>"""
PROBE = """<script>
const texts = [...document.querySelectorAll(".chart text")];
const boxes = texts.map((t) => [t, t.getBoundingClientRect()]);
const hits = [];
boxes.forEach(([s, a], i) => boxes.slice(i + 1).forEach(([t, b]) => {
  const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (wide > 1 && tall > 4) hits.push(s.textContent + " / " + t.textContent);
}));
const beyond = boxes.filter(([, b]) => b.left < 0 || b.right > innerWidth);
const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
const found = document.documentElement.dataset;
found.overlaps = JSON.stringify(hits);
found.beyond = JSON.stringify(beyond.map(([t]) => t.textContent));
setTimeout(() => { found.requests = JSON.stringify([...asked, ...window.blocked]); }, 500);
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write(sample(), folder, "bench & <marks>", "moatbench-report experiment=bench")
    return folder / "index.html"


def browse(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    calm = "--no-first-run --disable-background-networking --disable-component-update"
    calm += " --disable-sync --disable-quic --no-sandbox --disable-gpu --headless"
    return subprocess.run(
        [
            tool("chromium"),
            *calm.split(),
            f"--user-data-dir={profile}",
            "--virtual-time-budget=5000",
            "--enable-logging=stderr",
            "--window-size=1300,3000",
            *flags,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def probed(page: Path, folder: Path, extra: str = "") -> str:
    """The page's DOM after its scripts, with what a probe in it found."""
    copy = folder / "probed.html"
    text = page.read_text().replace("<body>", f"<body>{BLOCKED}{extra}")
    copy.write_text(text.replace("</body>", f"{PROBE}</body>"))
    return browse(copy, folder / "profile", "--dump-dom").stdout


@pytest.mark.needs("chromium")
def test_the_page_draws_its_charts_without_errors(page: Path, tmp_path: Path) -> None:
    seen = browse(page, tmp_path, "--dump-dom")
    assert 'data-ready="true"' in seen.stdout
    assert seen.stdout.count('class="line"') == 13  # a line for each defense with a curve
    assert seen.stdout.count('class="band"') == 12  # label_only has one seed: no band
    assert seen.stdout.count('<td class="worst"') >= 12
    assert "CONSOLE" not in seen.stderr, seen.stderr


@pytest.mark.needs("chromium")
def test_no_label_of_a_chart_meets_another_and_nothing_is_asked_of_the_net(
    page: Path, tmp_path: Path
) -> None:
    seen = probed(page, tmp_path)
    assert 'data-overlaps="[]"' in seen
    assert 'data-beyond="[]"' in seen
    assert 'data-requests="[]"' in seen


CLICKS = """<script>
const lines = () => document.querySelectorAll("#curves-chart .line").length;
const pick = (id, value) => {
  byId(id).value = value;
  byId(id).dispatchEvent(new Event("change"));
};
const trail = [lines()];
const button = () => document.querySelector("#curves-legend button");
button().click();
trail.push(lines());
button().dispatchEvent(new MouseEvent("click", { shiftKey: true }));
trail.push(lines());
button().dispatchEvent(new MouseEvent("click", { shiftKey: true }));
pick("curves-attack", "solve");
trail.push(lines());
pick("curves-setting", "1");
const head = document.querySelector("#leaderboard table.sortable th.n");
head.click();
const rows = [...head.closest("table").tBodies[0].rows];
const column = rows.map((row) => parseFloat(row.cells[head.cellIndex].textContent));
trail.push(column.every((v, i) => !i || v >= column[i - 1]));
document.documentElement.dataset.trail = JSON.stringify(trail);
</script>"""


@pytest.mark.needs("chromium")
def test_the_legend_the_choices_and_the_headings_answer(page: Path, tmp_path: Path) -> None:
    copy = tmp_path / "clicked.html"
    copy.write_text(page.read_text().replace("</body>", f"{CLICKS}</body>"))
    seen = browse(copy, tmp_path / "profile", "--dump-dom")
    # 13 defenses; one hidden; one alone; all but label_only, to which solve does not apply
    assert 'data-trail="[13,12,1,12,true]"' in seen.stdout
    assert "CONSOLE" not in seen.stderr, seen.stderr


@pytest.mark.needs("chromium")
def test_a_request_would_be_seen(page: Path, tmp_path: Path) -> None:
    seen = probed(page, tmp_path, '<img src="http://127.0.0.1:9/x.png">')
    assert "http://127.0.0.1:9/x.png" in seen.split("data-requests=")[1].split(">")[0]


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(("flags", "dark"), [((), False), (("--force-dark-mode",), True)])
def test_the_page_is_light_or_dark_as_the_reader_is(
    flags: tuple[str, ...], dark: bool, page: Path, tmp_path: Path
) -> None:
    import numpy as np
    from matplotlib.image import imread

    shot = tmp_path / "shot.png"
    browse(page, tmp_path / "profile", f"--screenshot={shot}", *flags)
    background = float(np.median(imread(shot)[..., :3]))
    assert background < 0.2 if dark else background > 0.9


def test_names_from_the_runs_cannot_break_the_page(page: Path) -> None:
    text = page.read_text()
    assert "wine_<b>" not in text.split("<script type")[0]
    assert "bench &amp; &lt;marks&gt;" in text
    start = text.index("id=data>") + len("id=data>")
    data = json.loads(text[start : text.index("</script>", start)])
    assert [s["name"] for s in data["settings"]] == ["Softmax on Iris", "Softmax on Wine <b>"]


def test_the_page_points_to_nothing_outside(page: Path) -> None:
    import re

    links = re.findall(r"(?:src|href)=\"?([^\s\">]+)", page.read_text())
    assert links
    assert all(
        link.startswith(("#", "data:", "tables/", "figures/", "methods", "curves", "flags.html"))
        for link in links
    )
    assert all(
        (page.parent / link).exists() for link in links if not link.startswith(("#", "data:"))
    )


def test_the_worst_curve_of_the_page_is_nan_free_json(page: Path) -> None:
    assert "NaN" not in page.read_text().split("id=data>")[1].split("</script>")[0]


NARROW = """<script>
const all = (css) => [...document.querySelectorAll(css)];
const wide = all(".scroll, body").filter((e) => e.scrollWidth > e.clientWidth + 1);
const strokes = all("#curves-chart .strong > .line").map((l) => l.getAttribute("stroke"));
const before = document.querySelectorAll("tr.more").length;
const folds = document.querySelector("#leaderboard table.folds");
folds.tBodies[0].rows[0].click();
document.documentElement.dataset.narrow = JSON.stringify({
  wide: wide.map((e) => e.className), width: innerWidth,
  twice: strokes.length - new Set(strokes).size,
  more: document.querySelectorAll("tr.more").length - before,
  labels: document.querySelectorAll("#curves-chart .name text").length,
});
</script>"""


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [400, 1000])
def test_nothing_is_wider_than_the_page_and_no_colour_is_used_twice(
    page: Path, tmp_path: Path, width: int
) -> None:
    from html import unescape

    copy = tmp_path / "narrow.html"
    # Chromium opens no window below 500; the rules for narrow ones hold there too
    body = f"<body style='width:{width}px'>" if width < 500 else "<body>"
    text = page.read_text().replace("<body>", body).replace("</body>", f"{NARROW}</body>")
    copy.write_text(text)
    seen = browse(copy, tmp_path / "profile", "--dump-dom", f"--window-size={width},3000").stdout
    found = json.loads(unescape(seen.split('data-narrow="')[1].split('"')[0]))
    assert found["wide"] == []
    assert found["twice"] == 0
    assert found["labels"] == 13
    assert found["more"] == (found["width"] < 640)


def test_of_many_models_a_table_answers_and_the_sentences_are_folded(tmp_path: Path) -> None:
    runs = [
        run(defense, seed=seed, fidelity=(0.5, 0.8, last), data=f"data_{place}")
        for place in range(4)
        for defense, last in (("none", 0.9), ("mad", 0.9 - place / 10), ("rounding", 0.9))
        for seed in range(3)
    ]
    write(select(runs), tmp_path, "many")
    text = (tmp_path / "index.html").read_text()
    folded = text.index("<summary>The same in sentences")
    assert text.index("Which defense to deploy") < folded < text.index("class=verdict")
    assert text.count("class=verdict") == 4
    made = cells("answers", *runs)
    assert {row["undefended"] for row in made.values()} == {"90.0"}
    assert {row["verdict"] for row in made.values()} == {"not shown to hold"}  # naive only
    seem = [row["seems to help, not proven"] for row in made.values()]
    assert seem == ["-", "MAD (80.0)", "MAD (70.0)", "MAD (60.0)"]
    assert (tmp_path / "tables" / "answers.tex").exists()


def test_the_verdict_opens_the_page(page: Path) -> None:
    text = page.read_text()
    assert text.index("class=verdict") < text.index("class=lead") < text.index("<section")

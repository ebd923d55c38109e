"""docs/parts.md: every part that can be chosen, told by its own config file.

Run: python benchmarks/parts.py --write, or --check, which fails where the page is out of date. What
a part is and where it comes from stand in the first comment of its file in conf/; its knobs and
their defaults in the file itself.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import quick  # noqa: F401 - reads --help
from omegaconf import OmegaConf

from moatbench.compose.build import instantiate
from moatbench.defense import Defense
from moatbench.reproduce.markdown import table
from moatbench.traits import KINDS

ROOT = Path(__file__).parents[1]
CONF, PAGE = ROOT / "conf", ROOT / "docs" / "parts.md"
# What is in brackets is a source if it has a year, or says that there is none.
SOURCE = re.compile(r" \(([^()]*(?:\b(?:19|20)\d\d\b|\bours\b|\ba control\b|\bToolbox\b)[^()]*)\)")
LEFT_OUT = ("@package", "Another one:", "Another response:")  # lines of a head that tell no part
MADE_OF = (
    "monitor",
    "restorer",
    "model",
    "calibration",
)  # knobs that are objects with knobs of their own

INTRO = """# Parts: all that can be chosen

This page is written by `python benchmarks/parts.py --write`, from the files in `conf/`. A name
links to its file, which says what each knob means. Any knob can be set on the command line:
`defense.rounding.decimals=3`, `attack.answers=labels`, `victim.hidden=50`. `moatbench --cfg job`
shows what a run is made of."""
SECTIONS = {
    "attack": """## Attacks

`attack=NAME`; `attack=suite` is all that apply. A wrapper runs another attack, its inner, which
`attack@attack.attack=NAME` replaces. How they work: [attacks.md](attacks.md).""",
    "defense": """## Defenses

`defense=NAME`, or a stack, in order: `defense=[prada,rounding]`. What each costs, and what to know
before trusting one: [defenses.md](defenses.md).""",
    "monitor": """## Monitors

A monitor is a defense that watches, and that needs a response to an alarm:
`defense=prada response@defense.prada.response=label_only`. Whom each catches:
[monitors.md](monitors.md).""",
    "response": """## Responses

What happens to the answers of an account in alarm.""",
    "victim": """## Victims

`victim=NAME`. Bring your own with `model`, `module`, `mlflow`, `own` or `http`.""",
    "data": """## Data

`data=NAME`. The judge gets a share of the rows, `data.test_share` (0.3); the attacker's pool is a
share of the others, `data.pool_share` (0.25). Rows that are equal go to one share together.""",
    "experiment": """## Experiments

`moatbench -m experiment=NAME`: a sweep with a question. How sweeps run: [sweeps.md](sweeps.md).""",
}
KNOWLEDGE = """## Who knows what

Attackers are told what stands before the model: the kinds of the defense, and a copy of it with its
knobs (Kerckhoffs). An attack says `against` which kinds it is made. Each kind of a defense needs
such an attack, or the defense is marked "naive only"; of one that watches, `watches` alone does."""


def page() -> str:
    """Write the whole page."""
    sections = [f"{text}\n\n{_table(group)}" for group, text in SECTIONS.items()]
    return "\n\n".join([INTRO, *sections, f"{KNOWLEDGE}\n\n{_who_knows_what()}"]) + "\n"


def files(group: str) -> list[Path]:
    """Return the config files of a group; monitors lie among the defenses."""
    folder = CONF / ("defense" if group == "monitor" else group)
    found = sorted(folder.glob("*.yaml"))
    if group not in ("defense", "monitor"):
        return found
    return [f for f in found if ("monitor:" in f.read_text()) == (group == "monitor")]


def told(file: Path) -> tuple[str, str]:
    """Return what the first comment of a config file says: the part, and its source."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not any(mark in line for mark in LEFT_OUT):
            lines.append(line.removeprefix("#").strip())
    text = " ".join(lines)
    source = SOURCE.search(text)
    what = text if source is None else text.replace(source[0], "", 1)
    return what.rstrip("."), "-" if source is None else source[1]


def knobs(file: Path) -> dict[str, str]:
    """Return the knobs that a config file sets, and their defaults as they would be typed."""
    node: Any = OmegaConf.to_container(OmegaConf.load(file))
    own = f"{file.stem}." if file.parent.name == "defense" else ""
    taken = _choices(node.pop("defaults", []))
    chosen = {at.removeprefix(own): choice for _, at, choice in taken}
    if file.parent.name == "defense" and node:  # a defense stands under its own name
        node = node[file.stem]
    return dict(_flat(node)) | chosen


def _choices(defaults: list[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what a config file takes from other groups: the group, the knob, and the choice."""
    for entry in defaults:
        if isinstance(entry, Mapping):
            (key, choice), *_ = entry.items()
            group, _, at = str(key).lstrip("/").partition("@")
            yield group, at or group, str(choice)
        elif "@" in entry:
            choice, key = entry.split("@")
            yield key, key, choice


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if key in MADE_OF:
            yield from _flat(value, f"{prefix}{key}.")
        elif not key.startswith("_") and not (isinstance(value, dict) and "_partial_" in value):
            yield prefix + key, _typed(value)
        elif value == "???":
            yield prefix + key, "required"


def _typed(value: Any) -> str:
    if value == "???":
        return "required"
    if isinstance(value, list):
        return f"[{', '.join(map(_typed, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_typed(v)}' for k, v in value.items())}}}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _table(group: str) -> str:
    third = {"experiment": "runs", "data": "-"}.get(group, "knobs (default)")
    rows = []
    for file in files(group):
        what, source = told(file)
        made = ", ".join(f"`{k}` ({v})" for k, v in knobs(file).items())
        if group == "experiment":  # a question, its runs, and the command
            what, _, made = what.partition("? ")
            what, made = f"{what}?", made.split(": moatbench")[0]
        elif group == "data":
            made = "-"
        name = f"[`{file.stem}`](../{file.relative_to(ROOT).as_posix()})"
        rows.append([name, what, made or "-", source])
    return table([group, "what", third, "source"], rows).replace("---:", "---")


def alive(file: Path) -> Any:
    """Make the part that a config file describes, with what it takes from other groups."""
    node = _loaded(file)
    if file.parent.name == "defense":
        if not node:
            return Defense()
        node = node[file.stem]
    return instantiate(node)


def _loaded(file: Path) -> Any:
    """Return what a config file says, and in it what it takes from other groups."""
    node: Any = OmegaConf.load(file)
    taken: Any = OmegaConf.to_container(node.pop("defaults", OmegaConf.create([])))
    for group, at, choice in _choices(taken):
        own = OmegaConf.select(node, at, default={})
        other = _loaded(CONF / group / f"{choice}.yaml")
        OmegaConf.update(node, at, OmegaConf.merge(other, own), force_add=True)
    return node


def _who_knows_what() -> str:
    attacks = {f.stem: alive(f).against for f in files("attack") if f.stem != "suite"}
    defenses = {f.stem: alive(f).traits.kinds for g in ("defense", "monitor") for f in files(g)}
    rows = [
        [
            f"`{kind}`",
            meaning.meaning,
            ", ".join(f"`{name}`" for name, kinds in sorted(defenses.items()) if kind in kinds),
            ", ".join(f"`{name}`" for name, against in attacks.items() if kind in against),
        ]
        for kind, meaning in KINDS.items()
    ]
    header = ["kind", "what the defense does", "defenses", "attacks made against it"]
    return table(header, [[cell or "-" for cell in row] for row in rows]).replace("---:", "---")


def main(option: str) -> int:
    """Write the page, or say whether it is up to date."""
    if option == "--write":
        PAGE.write_text(page())
    elif option != "--check":
        print("usage: python benchmarks/parts.py --write | --check")
        return 2
    elif PAGE.read_text() != page():
        print("docs/parts.md is out of date; run: python benchmarks/parts.py --write")
        return 1
    told = sum(line.startswith("| [`") for line in page().splitlines())
    print(f"docs/parts.md is up to date, and tells of {told} parts")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) == 2 else ""))

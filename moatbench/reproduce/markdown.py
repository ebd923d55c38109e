"""What all sections are written with: tables, notes, pairs of fidelities."""

from collections.abc import Sequence
from statistics import median

from moatbench.reproduce import over_seeds
from moatbench.reproduce.spec import Published

Cells = list[str]
WORDS = ("model", "attack", "data", "paper", "notes")  # columns to the left


class Notes:
    """Numbered notes on what differs from the paper, each written once."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def numbers(self, texts: Sequence[str]) -> str:
        """Return what stands for the notes in a row."""
        self._texts += [text for text in texts if text not in self._texts]
        return " ".join(f"[{self._texts.index(text) + 1}]" for text in texts)

    def text(self) -> str:
        """Return the list of notes."""
        return "\n".join(f"- [{n}] {text}." for n, text in enumerate(self._texts, 1))


def pair(test: Sequence[float], uniform: Sequence[float]) -> str:
    """Write medians of 1 - R_test and 1 - R_unif."""
    if not test or not uniform:
        return "-"
    return f"{over_seeds.per_cent(median(test))} / {over_seeds.per_cent(median(uniform))}"


def published(figure: Published) -> str:
    """Write the paper's pair, as far as it is known."""
    if figure.test is None and figure.uniform is None:
        return "-"
    cells = (figure.test, figure.uniform)
    return " / ".join("-" if value is None else over_seeds.per_cent(value) for value in cells)


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay a table out; a column in which nothing is known is left out."""
    rule = ["---" if name in WORDS else "---:" for name in header]
    known = [any(line[at] not in ("", "-") for line in lines) for at in range(len(header))]
    rows = (
        " | ".join(cell.replace("|", "\\|") for cell, kept in zip(line, known, strict=True) if kept)
        for line in (header, rule, *lines)
    )
    return "\n".join(f"| {row} |" for row in rows)

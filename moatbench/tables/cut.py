"""From a text to rows of cells: which sign separates them, and in which line each row stands."""

import csv
import io
import re
from typing import NamedTuple

from moatbench.tables.told import Report, many

CANDIDATES = (",", ";", "\t", "|")
SAMPLE = 2**16  # letters that the separator is looked for in
END = "\ufdd0the-file-ends-here\ufdd0"  # letters that no text has, and none of white space
NAMES = {",": "','", ";": "';'", "\t": "tab", "|": "'|'", " ": "spaces"}


class Row(NamedTuple):
    """A row of cells, and the line in which it begins."""

    line: int
    cells: list[str]


class Fit(NamedTuple):
    """How well a separator cuts a sample; the greater, the better."""

    names: bool  # whether the first row has as many cells as most others
    share: float  # of rows with as many cells as most
    cells: int


def rows(text: str, separator: str | None, report: Report) -> list[Row]:
    """Cut a text into rows; lines that are empty are left out.

    Raises:
        ValueError: there is nothing, or a quote is never closed.
    """
    first, declared = 1, re.match(r'"?sep=(.)"?[\s,;]*\r?\n', text)
    if declared:  # Excel writes such a line, and takes its word for it
        text, first = text[declared.end() :], 2
        separator = separator or declared[1]
    if not text.strip():
        raise ValueError(f"{report.source}: the file is empty; give a header and rows")
    chosen = separator or sniffed(text)
    if chosen != ",":
        report.read.append(f"separator {NAMES.get(chosen, repr(chosen))}")
    found = _cut(text, chosen)
    if not found or found[-1].cells != [END]:
        line = found[-1].line + first - 1 if found else first
        raise ValueError(
            f"{report.source}: the row in line {line} holds a quote that is never closed, "
            "or a value of more than 131,072 letters; close it, or write it twice"
        )
    if (place := text.find('\\"')) >= 0:
        line = text.count("\n", 0, place) + first
        report.notes.append(f"a backslash before a quote is taken as it stands (line {line})")
    elif line := _torn(text, chosen):
        report.notes.append(
            f"letters behind the end of a quoted value (line {line + first - 1}): they stay, the "
            "quotes go"
        )
    placed = [Row(row.line + first - 1, row.cells) for row in found[:-1]]
    kept = [row for row in placed if any(row.cells)]
    hollow = [row for row in placed if len(row.cells) > 1 and not any(row.cells)]
    if hollow:
        report.notes.append(
            f"{many(len(hollow), 'row')} without a value left out (first line {hollow[0].line})"
        )
    long = [row for row in kept if any("\n" in cell or "\r" in cell for cell in row.cells)]
    if long:
        report.notes.append(
            f"{many(len(long), 'row')} on several lines, as quotes say (first: line {long[0].line})"
        )
    return kept


def _torn(text: str, sign: str) -> int:
    """Return the first line in which a value goes on behind its last quote; 0 where none does."""
    if '"' not in text:
        return 0
    # White space behind a quote is nothing to tell
    tidy = re.sub(rf'"[^\S\r\n{re.escape(sign)}]+(?=[\r\n{re.escape(sign)}]|$)', '"', text)
    reader = csv.reader(
        io.StringIO(tidy, newline=""), delimiter=sign, skipinitialspace=True, strict=True
    )
    try:
        for _ in reader:
            pass
    except csv.Error:
        return reader.line_num
    return 0


def sniffed(text: str) -> str:
    """Find the separator that cuts the first lines into rows of equal length."""
    sample = text[:SAMPLE]
    if len(text) > SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    fits = {sign: _fit(sample, sign) for sign in CANDIDATES}
    fits = {sign: fit for sign, fit in fits.items() if fit.cells > 1}
    if not fits:
        spaced = _fit(sample, " ")
        return " " if spaced.cells > 1 and spaced.names and spaced.share == 1 else ","
    return max(fits, key=lambda sign: fits[sign])


def _fit(sample: str, sign: str) -> Fit:
    counts = [_length(row.cells) for row in _cut(sample, sign)[:-1] if any(row.cells)]
    if not counts:
        return Fit(False, 0.0, 0)
    behind = counts[1:] or counts
    usual = max(set(behind), key=behind.count)
    share = behind.count(usual) / len(behind)
    return Fit(counts[0] > 1 and usual - counts[0] in (0, 1), share, usual)


def _length(cells: list[str]) -> int:
    """Count the cells of a row, but for one empty cell behind a last separator."""
    return len(cells) - (len(cells) > 1 and not cells[-1])


def _cut(text: str, sign: str) -> list[Row]:
    """Cut a text; the last row is END alone, unless a quote is open."""
    closed = text if text.endswith(("\n", "\r")) else text + "\n"
    reader = csv.reader(
        io.StringIO(closed + END, newline=""), delimiter=sign, skipinitialspace=True
    )
    found, line = [], 1
    try:
        for cells in reader:
            found.append(Row(line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error:  # a cell of more than 131,072 letters: a quote that is never closed
        found.append(Row(line, []))
    if sign == " ":  # one behind the last value is no separator
        found = [Row(r.line, r.cells[:-1] if r.cells[-1:] == [""] else r.cells) for r in found]
    return found

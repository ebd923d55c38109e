"""From a file to its text: unpacked, decoded, and refused where it holds no text."""

import codecs
import re
import zipfile
from importlib import import_module
from io import BytesIO
from pathlib import Path

from moatbench.tables.told import Report

PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}
ARROW = {b"PAR1": "parquet", b"ARROW1": "arrow", b"FEA1": "feather"}
PACKS = {".gz", ".gzip", ".bz2", ".xz", ".lzma", ".zip", ".zst", ".z"}  # endings, in lower case
START = 2**14  # bytes that tell what a text is
ZIP = b"PK\x03\x04"
BOOK = "is a workbook; save the sheet as CSV"
OTHERS = {  # content that people give for a table, by its first bytes
    b"\xd0\xcf\x11\xe0": BOOK,
    b"%PDF": "is a PDF; give a CSV file",
    b"\x28\xb5\x2f\xfd": "is packed by zstd; unpack it, or pack it with gzip",
    b"\x89HDF": "is HDF5; write it as CSV or Parquet",
    b"SQLite format 3": "is a database of SQLite; write a table of it as CSV",
    b"<!DOCTYPE": "is a web page, not the file behind a link; download that",
    b"<html": "is a web page, not the file behind a link; download that",
    b"\x80\x04": "is a pickle; write it as CSV or Parquet",
    b"\x80\x05": "is a pickle; write it as CSV or Parquet",
}
WRITTEN = {  # texts that people give for a table, by their start
    rb"\s*(\[\s*)?\{\s*\"": "is JSON; write it as CSV or Parquet",
    rb"\s*((%[^\n]*)?\n\s*)*@relation\b": "is ARFF; write it as CSV, or take a set of OpenML "
    "with data=openml",
}
MARKS = (  # of an encoding, at the start of a text; the longer first
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def bare(file: Path) -> str:
    """Return a file's name without its ending, nor that of what packs it: `mine` of mine.csv.gz."""
    while file.suffix.casefold() in PACKS and file.stem:
        file = file.with_suffix("")
    return file.stem


def content(file: Path) -> bytes:
    """Read a file; unpack gzip, bzip2, xz, and a zip of a single file.

    Raises:
        ValueError: there is no file, it cannot be unpacked, or it is no table.
    """
    if not file.is_file():
        is_folder = "; it is a folder" if file.is_dir() else "; there is no such file"
        raise ValueError(f"data.path must be a file of a table, got {file}{is_folder}")
    raw = file.read_bytes()
    for magic, module in PACKED.items():
        if raw.startswith(magic):
            try:
                unpacked: bytes = import_module(module).decompress(raw)
            except Exception as error:  # each module has errors of its own
                raise ValueError(
                    f"data.path must be a whole file, got {file} ({error}); fetch it again"
                ) from error
            raw = unpacked
    if raw.startswith(ZIP):
        raw = _only_member(raw, file)
    for magic, says in OTHERS.items():
        if raw[: len(magic)].lower() == magic.lower():
            raise ValueError(f"data.path must be a file of a table, got {file}, which {says}")
    for start, says in WRITTEN.items():
        if re.match(start, raw[:START], re.IGNORECASE):
            raise ValueError(f"data.path must be a file of a table, got {file}, which {says}")
    return raw


def _only_member(raw: bytes, file: Path) -> bytes:
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
            if {"[Content_Types].xml", "mimetype"} & set(names):
                raise ValueError(f"data.path must be a file of a table, got {file}, which {BOOK}")
            names = [n for n in names if not n.startswith("__MACOSX")]
            if names and all(name.endswith(".npy") for name in names):
                raise ValueError(
                    f"data.path must be a file of a table, got {file}, which holds arrays of "
                    "numpy; pictures are taken by data=npz, and a table as CSV or Parquet"
                )
            if len(names) != 1:
                held = ", ".join(names[:10]) or "nothing"
                raise ValueError(
                    f"data.path must be a zip of one file, got {file}, which holds {held}; unpack "
                    "it and name the table"
                )
            return archive.read(names[0])
    except (zipfile.BadZipFile, RuntimeError) as error:  # RuntimeError: it wants a password
        raise ValueError(
            f"data.path must be a whole file, got {file} ({error}); unpack it yourself"
        ) from error


def text(raw: bytes, encoding: str | None, report: Report, file: Path) -> str:
    """Decode a file; say which encoding was taken, unless it is UTF-8.

    Raises:
        ValueError: it does not decode, or is no text.
    """
    found = _decoded(raw, encoding, report, file).removeprefix("\ufeff")
    if "\0" in found:
        line = found[: found.index("\0")].count("\n") + 1
        raise ValueError(
            f"data.path must be a text, got {file}, which holds a NUL in line {line}; give CSV, "
            "Parquet or Feather, or say data.encoding"
        )
    return found


def _decoded(raw: bytes, encoding: str | None, report: Report, file: Path) -> str:
    if encoding is not None:
        try:
            found = raw.decode(encoding)
        except LookupError:
            raise ValueError(
                f"data.encoding must be a codec of Python (utf-8, latin-1, cp1252, ...), got "
                f"{encoding!r}"
            ) from None
        except UnicodeError as error:
            raise ValueError(
                f"data.encoding must be that of {file.name}, got {encoding} ({error}); leave it "
                "null to find out"
            ) from None
        report.read.append(f"encoding {encoding}")
        return found
    for mark, codec in MARKS:
        if raw.startswith(mark):
            if codec != "utf-8-sig":
                report.read.append(f"encoding {codec}")
            return _strictly(raw, codec, file)
    if wide := _wide(raw):
        report.read.append(f"encoding {wide}")
        return _strictly(raw, wide, file)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return _western(raw, error.start, report)


def _strictly(raw: bytes, codec: str, file: Path) -> str:
    try:
        return raw.decode(codec)
    except UnicodeError as error:
        raise ValueError(
            f"data.path must be a text, got {file}, which starts as {codec} and does not go on so "
            f"({error}); save it as UTF-8"
        ) from None


def _wide(raw: bytes) -> str:
    """Name UTF-16 without a mark by where its zeros stand; '' for anything else."""
    head = raw[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 8 and max(even, odd) > 0.3 * len(head[::2]) and min(even, odd) == 0:
        return "utf-16-be" if even else "utf-16-le"
    return ""


def _western(raw: bytes, start: int, report: Report) -> str:
    """Decode what is not UTF-8 as Windows or Unix wrote it in Western Europe, and say so."""
    codec = "cp1252"
    try:
        found = raw.decode(codec)
    except UnicodeDecodeError:
        codec = "latin-1"
        found = raw.decode(codec)
    line = raw[:start].count(b"\n") + 1
    row = found[found.rfind("\n", 0, start) + 1 :].partition("\n")[0].strip()
    report.read.append(f"encoding {codec}")
    report.notes.append(
        f"not UTF-8, taken for {codec} (first in line {line}: {row[:60]!r}); if letters are wrong, "
        "say data.encoding=..."
    )
    return found

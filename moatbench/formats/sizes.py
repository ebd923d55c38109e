"""How large a packed file may become."""

from pathlib import Path
from zipfile import ZipFile

MOST_BYTES, MOST_TIMES = 2**28, 20  # unpacked: so much, or so many times the file


def check_size(path: Path, knob: str = "victim.path") -> None:
    """Refuse a zip that unpacks to far more than its size, before it is read.

    zipfile reads no member beyond the size that the zip says it has.

    Raises:
        ValueError: names the knob that gave the path.
    """
    with ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    packed = path.stat().st_size
    if unpacked > max(MOST_BYTES, MOST_TIMES * packed):
        raise ValueError(
            f"{knob} must unpack to {MOST_TIMES} times its {packed / 2**20:,.1f} MiB at most, got "
            f"{unpacked / 2**20:,.0f} MiB in {path}; if it is yours, save it uncompressed"
        )

"""Names that MLflow takes, for names that it does not."""

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable

MOST = 250  # letters of a name
REFUSED = re.compile(r"[^\w.\- /]")
LIKE_OURS = re.compile(r"_x[0-9a-f]+_")


def taken(name: str) -> str:
    """Return a name as MLflow takes it: each other sign by its number, `%` as `_x25_`.

    A name that is too long, or could be mistaken for another one, ends with a hash of all of it.
    """
    plain = REFUSED.sub(_by_number, name)
    if posixpath.normpath(plain) != plain or plain.startswith(("/", "..")) or plain == ".":
        plain = re.sub(r"[/.]", _by_number, plain) or "_"
    if len(plain) <= MOST and not LIKE_OURS.search(name):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{plain[: MOST - len(digest) - 1]}-{digest}"


def renamed(names: Iterable[str]) -> str:
    """Say, as JSON, what MLflow holds under another name: its own to ours; '' for nothing."""
    others = {taken(name): name for name in names if taken(name) != name}
    return json.dumps(others, ensure_ascii=False) if others else ""


def _by_number(sign: re.Match[str]) -> str:
    return f"_x{ord(sign[0]):x}_"

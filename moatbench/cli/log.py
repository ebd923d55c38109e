"""Log finished runs that MLflow did not get, from their folders."""

import sys
from pathlib import Path

from moatbench.cli.options import STORE, URI, BadOption, Command
from moatbench.record.summary import FILE
from moatbench.tracking.resume import log_once
from moatbench.tracking.store import TrackingFailed

COMMAND = Command(
    "moatbench-log FOLDER... [tracking.uri=URI]", {URI: STORE}, words="folder of a run"
)


def main() -> None:
    """Log each folder that is named."""
    COMMAND.offer_help(__doc__)
    try:
        given = COMMAND.read(sys.argv[1:])
        folders = [Path(word) for word in given.words]
        if absent := [str(f) for f in folders if not (f / FILE).exists()]:
            raise BadOption(f"no {FILE} in {', '.join(absent)}; usage: {COMMAND.usage}")
    except BadOption as error:
        sys.exit(f"{COMMAND.name}: {error}")
    refused = 0
    for folder in folders:  # one that is refused keeps no other from its record
        try:
            print(f"{folder}: run {_logged(folder, given.uri)} in {given.uri}", flush=True)
        except (BadOption, TrackingFailed) as error:
            refused += 1
            print(f"{COMMAND.name}: {error}", file=sys.stderr)
    if refused:
        sys.exit(f"{COMMAND.name}: {refused} of {len(folders)} runs have no record")


def _logged(folder: Path, uri: str) -> str:
    try:
        return log_once(folder.resolve(), uri)
    except (ValueError, OSError) as error:  # cut, of another version, or edited by hand
        raise BadOption(f"{folder} cannot be read: {error}") from error

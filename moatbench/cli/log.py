"""Log finished runs that MLflow did not get, from their folders."""

import sys
from pathlib import Path

from moatbench.cli.options import URI, BadOption, Command
from moatbench.record.summary import FILE, RecordUnreadable
from moatbench.tracking.log import log_run
from moatbench.tracking.store import TrackingFailed

COMMAND = Command("moatbench-log FOLDER... [tracking.uri=URI]", (URI,), words="folder of a run")


def main() -> None:
    """Log each folder that is named."""
    COMMAND.offer_help(__doc__)
    try:
        given = COMMAND.read(sys.argv[1:])
        folders = [Path(word) for word in given.words]
        if absent := [str(f) for f in folders if not (f / FILE).exists()]:
            raise BadOption(f"no {FILE} in {', '.join(absent)}; usage: {COMMAND.usage}")
        for folder in folders:
            print(f"{folder}: run {log_run(folder.resolve(), given.uri)} in {given.uri}")
    except RecordUnreadable as error:
        sys.exit(f"{COMMAND.name}: {folder}: its {error}; run it again with this version")
    except (BadOption, TrackingFailed) as error:
        sys.exit(f"{COMMAND.name}: {error}")

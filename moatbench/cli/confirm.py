"""moatbench-confirm: the worst attacks again, on seeds that chose nothing."""

import os
import sys
from pathlib import Path

from moatbench.report.select.consistency import MixedSelection
from moatbench.sweep.confirm import confirm
from moatbench.tracking.read import StoreUnreadable

OPTIONS = ("experiment", "seeds", "tracking.uri")
USAGE = "usage: moatbench-confirm experiment=NAME [seeds=3] [tracking.uri=URI] [hydra...=...]"


def main() -> None:
    """moatbench-confirm experiment=NAME [seeds=3] [tracking.uri=URI] [hydra...=...]."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{main.__doc__}\n\n{__doc__}\n{confirm.__doc__}")
        return
    stray = next((a for a in sys.argv[1:] if "=" not in a), None)
    given = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    passed_on = [f"{key}={value}" for key, value in given.items() if key.startswith("hydra")]
    options = {key: value for key, value in given.items() if not key.startswith("hydra")}
    unknown = stray or next((k for k in options if k not in OPTIONS), None)
    if unknown or not options.get("experiment") or not options.get("seeds", "3").isdigit():
        said = f"{unknown!r} is no option; " if unknown else ""
        sys.exit(f"moatbench-confirm: {said}{USAGE}")
    uri = options.get("tracking.uri") or os.environ.get("MLFLOW_TRACKING_URI")
    local = f"sqlite:///{(Path.cwd() / 'runs' / 'mlflow.db').as_posix()}"
    try:
        confirm(options["experiment"], int(options.get("seeds", "3")), uri or local, passed_on)
    except (StoreUnreadable, MixedSelection, ValueError, RuntimeError) as error:
        sys.exit(f"moatbench-confirm: {error}")

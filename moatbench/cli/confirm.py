"""The worst attack on each defense again, on seeds that chose nothing."""

import sys

from moatbench.cli.options import URI, Command, whole
from moatbench.report.select.consistency import MixedSelection
from moatbench.sweep.confirm import confirm
from moatbench.tracking.read import StoreUnreadable

COMMAND = Command(
    "moatbench-confirm experiment=NAME [seeds=3] [tracking.uri=URI] [hydra...=...]",
    ("experiment", "seeds", URI),
    needed=("experiment",),
    passes_on=True,
)


def main() -> None:
    """Confirm the worst cases of an experiment."""
    COMMAND.offer_help(__doc__, confirm.__doc__)
    try:
        given = COMMAND.read(sys.argv[1:])
        seeds = whole(given.options.get("seeds", "3"), "seeds", 1)
        confirm(given.options["experiment"], seeds, given.uri, given.passed_on)
    except (StoreUnreadable, MixedSelection, ValueError, RuntimeError) as error:
        sys.exit(f"{COMMAND.name}: {error}")

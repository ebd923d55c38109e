"""The worst attack on each defense again, on seeds that chose nothing.

A maximum of means is biased upwards; the same attack on fresh seeds is not. Reruns are logged into
the same experiment, and what MLflow has of them is not run again.
"""

import sys

from moatbench.cli.options import STORE, URI, Command, experiment_of, whole
from moatbench.report.select.consistency import MixedSelection
from moatbench.sweep.confirm import confirm
from moatbench.tracking.read import StoreUnreadable

COMMAND = Command(
    "moatbench-confirm [experiment=NAME] [seeds=3] [tracking.uri=URI] "
    "[filter=\"tags.data = 'digits'\"] [hydra...=...]",
    {
        "experiment": "its name in MLflow: name= of its runs; else the only one there is",
        "seeds": "how many fresh seeds, the same for all defenses",
        "filter": "in MLflow's search syntax, to choose among the runs",
        URI: STORE,
    },
    passes_on=True,
)


def main() -> None:
    """Confirm the worst cases of an experiment."""
    COMMAND.offer_help(__doc__)
    try:
        given = COMMAND.read(sys.argv[1:])
        seeds = whole(given.options.get("seeds", "3"), "seeds", 1)
        condition = given.options.get("filter", "")
        confirm(experiment_of(given), seeds, given.uri, given.passed_on, condition)
    except (StoreUnreadable, MixedSelection, ValueError, RuntimeError) as error:
        sys.exit(f"{COMMAND.name}: {error}")

"""What is understood of a service over HTTP, in one look, before any run.

It asks some 20 rows of your data, and a batch of those that a run asks anyway. It shows a request
and its answer, what was made of it, whether the same rows are answered alike, what becomes of
fractions in columns of whole numbers, and how many rows a run would ask.
"""

import os
import sys
from collections.abc import Sequence

from moatbench.compose.words.overrides import explain_composition

USAGE = (
    "moatbench-endpoint victim.url=http://127.0.0.1:8080 data=... [victim.protocol=v2] [KEY=...]"
)


def main() -> None:
    """Look; exit with 1 where the service cannot be attacked as it is."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(f"usage: {USAGE}\n\n{__doc__}\nThe keys are those of a run: conf/victim/http.yaml")
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing its own message
    try:
        print(shown(arguments))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sys.exit(f"moatbench-endpoint: {explain_composition(error, arguments)}")


def shown(arguments: Sequence[str]) -> str:
    """Ask the service, and say in lines what was understood."""
    from moatbench.compose.deployed import composed
    from moatbench.remote.look import look
    from moatbench.runner.estimate import dry_run, lines_of

    own = [] if any(a.startswith("victim=") for a in arguments) else ["victim=http"]
    live = [] if any(a.startswith("victim.recheck=") for a in arguments) else ["victim.recheck=0"]
    # What it answers now, and not what was told at this address before
    with composed([*own, *live, *arguments, "victim.dry_run=true"]) as (cfg, choices):
        dry = dry_run(cfg)
        lines = look(dry)
        return "\n".join([*lines, *lines_of(cfg, dry, [choices["attack"]])])

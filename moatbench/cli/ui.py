"""The MLflow dashboard on a store of runs, lean and on this machine only."""

import os
import subprocess
import sys

from moatbench.cli.options import STORE, URI, BadOption, Command, whole
from moatbench.tracking import store

HOST, PORT = "127.0.0.1", 5000
SERVER = f"http://{HOST}:{PORT}"
COMMAND = Command(
    "moatbench-ui [tracking.uri=sqlite:///...] [port=5000] [host=127.0.0.1]",
    {URI: STORE, "port": "where it listens", "host": "from where it is reached; else this machine"},
)
LEAN = {
    **store.CALM,
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes for what is not used here
}


def main() -> None:
    """Start the dashboard; it runs until it is interrupted."""
    COMMAND.offer_help(__doc__)
    try:
        command, links = prepared(sys.argv[1:])
    except (BadOption, store.TrackingFailed) as error:
        sys.exit(f"{COMMAND.name}: {error}")
    for what, address in links.items():
        print(f"{what}: {address}", flush=True)
    try:
        sys.exit(subprocess.call(command, env={**os.environ, **LEAN}))
    except KeyboardInterrupt:
        sys.exit(0)


def prepared(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts the dashboard, and the addresses to open.

    Raises:
        BadOption: an unknown option, or there is no store.
    """
    given = COMMAND.read(arguments)
    host = given.options.get("host", HOST)
    port = whole(given.options.get("port", str(PORT)), "port", 1, 65535)
    if given.uri.startswith("http"):
        raise BadOption(f"{given.uri} is a server: open it in a browser")
    if (db := store.database(given.uri)) and not db.is_file():
        raise BadOption(f"no store at {given.uri}; run moatbench there first, or name another")
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1"]
    command += ["--backend-store-uri", given.uri, "--host", host, "--port", str(port)]
    server = f"http://{host}:{port}"
    links = {}
    for experiment in store.experiments(given.uri):
        for what, address in store.links(given.uri, experiment, server).items():
            links[f"{experiment}, {what}"] = address
    return command, links

"""moatbench-ui: the MLflow dashboard on a store of runs, lean and on this machine only."""

import os
import subprocess
import sys
from pathlib import Path

HOST, PORT = "127.0.0.1", 5000
SERVER = f"http://{HOST}:{PORT}"
USAGE = "usage: moatbench-ui [tracking.uri=sqlite:///...] [port=5000] [host=127.0.0.1]"
LEAN = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes for what is not used here
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def main() -> None:
    """Start the dashboard; it runs until it is interrupted."""
    try:
        command, links = prepared(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"moatbench-ui: {error}")
    for what, address in links.items():
        print(f"{what}: {address}", flush=True)
    try:
        sys.exit(subprocess.call(command, env={**os.environ, **LEAN}))
    except KeyboardInterrupt:
        sys.exit(0)


def prepared(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts the dashboard, and the addresses to open.

    Raises:
        ValueError: an unknown option, or there is no store.
    """
    from moatbench.tracking import store

    options = {"host": HOST, "port": str(PORT), "tracking.uri": ""}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in options:
            raise ValueError(f"unknown option {argument!r}; {USAGE}")
        options[key] = value
    if not options["port"].isdigit() or not 0 < int(options["port"]) < 65536:
        raise ValueError(f"port must be a number from 1 to 65535, got {options['port']!r}")
    uri = store.address(options["tracking.uri"] or os.environ.get("MLFLOW_TRACKING_URI"))
    if uri.startswith("http"):
        raise ValueError(f"{uri} is a server: open it in a browser")
    if uri.startswith(store.SQLITE) and not Path(uri[len(store.SQLITE) :]).is_file():
        raise ValueError(f"there is no store at {uri}; run moatbench there first, or name another")
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1"]
    command += ["--backend-store-uri", uri, "--host", options["host"], "--port", options["port"]]
    server = f"http://{options['host']}:{options['port']}"
    links = {}
    for experiment in store.experiments(uri):
        for what, address in store.links(uri, experiment, server).items():
            links[f"{experiment}, {what}"] = address
    return command, links

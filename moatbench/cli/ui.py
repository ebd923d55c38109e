"""The MLflow dashboard on a store of runs, lean and on this machine only."""

import os
import signal
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
REFUSED_PORTS = {  # by browsers: https://fetch.spec.whatwg.org/#port-blocking
    *(1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566),
    *(6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
    *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179),
    *(389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601),
    *(636, 989, 990, 993, 995),
}
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
    sys.exit(_served(command))


def _served(command: list[str]) -> int:
    """Run the server until it ends, or this process does: then it ends too, with its workers."""
    leashed = [sys.executable, "-m", "moatbench.cli.leash", *command]
    server = subprocess.Popen(
        leashed, stdin=subprocess.PIPE, start_new_session=True, env={**os.environ, **LEAN}
    )
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        if server.stdin is not None:
            server.stdin.close()
        server.wait()


def prepared(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts the dashboard, and the addresses to open.

    Raises:
        BadOption: an unknown option, or there is no store.
    """
    given = COMMAND.read(arguments)
    host = given.options.get("host", HOST)
    port = whole(given.options.get("port", str(PORT)), "port", 1, 65535)
    if port in REFUSED_PORTS:
        good = next(p for p in (*range(port + 1, 65536), PORT) if p not in REFUSED_PORTS)
        raise BadOption(f"port must be one that browsers open, got {port}; take port={good}")
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

"""A PostgreSQL of a test's own."""

import getpass
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shop import tool


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def postgres(name: str) -> Iterator[str]:
    """Start one with a database; it refuses to run as root, so it gets a user if need be."""
    folder, port = Path("/tmp") / f"moatbench-pg-{free_port()}", free_port()
    folder.mkdir()
    root = getpass.getuser() == "root"
    if root:
        shutil.chown(folder, "postgres")
    become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if root else []

    def pg(program: str, *arguments: str) -> None:
        command = [*become, str(Path(tool("postgresql")) / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    data = str(folder / "data")
    pg("initdb", "-D", data, "-U", "moatbench", "--auth=trust")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
    pg("pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
    try:
        pg("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "moatbench", name)
        yield f"postgresql://moatbench@127.0.0.1:{port}/{name}"
    finally:
        pg("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)

"""64 clients for a minute before a defense of each kind: what they are told, and what is counted.

Run: python benchmarks/clients.py [--quick] [DEFENSE ...]. Each client has a key and a connection of
its own, and asks as fast as it is answered, rows drawn anew, in either protocol. It exits with 1
where an answer was neither predictions nor a declared refusal, or where the service has counted
other rows than were answered or refused.
"""

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from load import answer, request
from quick import QUICK

from moatbench.serving import keys
from moatbench.serving.store import Store
from moatbench.traits import KINDS

CLIENTS, SECONDS = (8, 1.0) if QUICK else (64, 60.0)
ROUTES = ("/invocations", "/v2/models/{model}/infer")
DECLARED = {200, 403, 429}
TWO_CLASSES = ["victim=logistic", "data=breast_cancer"]  # those who ask for them have these
BY_KIND = {
    "quantises": "rounding",
    "truncates": "confidence_threshold",
    "withholds": "label_only",
    "noisy": "gaussian_noise",
    "perturbs": "keyed_mixture",
    "relabels": "reverse_sigmoid",
    "off_data": "adaptive_misinformation",
    "marks": "dawn",
    "moves_inputs": "grid",
    "watches": "seat",
    "refuses": "quota",
    "costs": "proof_of_work",
    "remembers": "modelguard_s",
    "tells_nothing": "random_labels",
    "other": "art",
    "withholds, by a key": "bdpl",
    "watches + quantises": "[prada,rounding]",
}


@dataclass
class Heard:
    """What clients were told.

    Args:
        statuses: answers by status; 0 is a connection that broke.
        answered: rows.
        refused: rows.
        slowest: seconds of the answer that took longest.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    answered: int = 0
    refused: int = 0
    slowest: float = 0.0

    def hear(self, status: int, body: bytes, rows: int, seconds: float) -> None:
        """Take an answer to so many rows."""
        self.statuses[status] += 1
        self.slowest = max(self.slowest, seconds)
        told = orjson.loads(body)
        if status == 200:
            text = told.get("parameters", {}).get("refused", "[]")  # v2's parameters are plain
            gone = len(told.get("refused") or orjson.loads(text))
            self.answered, self.refused = self.answered + rows - gone, self.refused + gone
        elif status == 403 and told["type"].endswith("refused"):
            self.refused += rows


def main() -> None:
    """Print a line a defense."""
    wanted = sys.argv[1:] or list(BY_KIND.values())[:: 8 if QUICK else 1]
    assert set(KINDS) <= set(BY_KIND)
    print("| kind | defense | 200 | 403 | 429 | else | counted | answered | refused | slowest |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    wrong = [d for kind, d in BY_KIND.items() if d in wanted and not measured(kind, d)]
    print(f"{len(wrong)} of them wrong: {', '.join(wrong) or 'none'}")
    sys.exit(bool(wrong))


def measured(kind: str, defense: str) -> bool:
    """Ask one, and print its line; return whether all was as it must be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(folder / "state")
        names = [keys.create(store, f"client {i}")[1] for i in range(CLIENTS)]
        store.close()
        heard, ended = asked(folder, defense, names)
        db = sqlite3.connect(folder / "state" / "state.db")
        ((counted, refused),) = db.execute("select sum(queries), sum(refused) from accounts")
        db.close()
    odd = sum(n for status, n in heard.statuses.items() if status not in DECLARED)
    told = [heard.statuses[status] for status in (200, 403, 429)] + [odd]
    told += [counted, heard.answered, heard.refused]
    numbers = " | ".join(f"{number:,}" for number in told)
    print(f"| {kind} | `{defense}` | {numbers} | {heard.slowest:.2f} s |", flush=True)
    same = (counted, refused) == (heard.answered + heard.refused, heard.refused)
    return same and not odd and ended == 0


def asked(folder: Path, defense: str, names: list[str]) -> tuple[Heard, int]:
    """Serve a defense, have all clients ask it, and stop it; return also how it ended."""
    parts = TWO_CLASSES if defense == "bdpl" else ["victim=softmax", "data=iris"]
    told = [*parts, f"defense={defense}", f"state={folder / 'state'}", "port=0", "admin_port=0"]
    code, out = "from moatbench.cli.serve import main; main()", folder / "out"
    with out.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *told], stdout=file, stderr=subprocess.STDOUT
        )
    try:
        while "owner's page" not in out.read_text():
            if server.poll() is not None:
                raise RuntimeError(out.read_text())
            time.sleep(0.1)
        found = re.search(r"(\w+): http://127.0.0.1:(\d+), routes", out.read_text())
        assert found is not None
        width = 30 if parts is TWO_CLASSES else 4
        heard = asyncio.run(under_load(int(found[2]), found[1], width, names))
        server.send_signal(signal.SIGTERM)
        return heard, server.wait(60)
    finally:
        server.kill()
        server.wait()


async def under_load(port: int, model: str, width: int, names: list[str]) -> Heard:
    """Ask as every client at once."""
    heard, end = Heard(), time.perf_counter() + SECONDS
    await asyncio.gather(
        *(client(port, model, width, i, key, heard, end) for i, key in enumerate(names))
    )
    return heard


async def client(
    port: int, model: str, width: int, number: int, key: str, heard: Heard, end: float
) -> None:
    """Ask as one client until the end: one row, and now and then five."""
    rng, turn = np.random.default_rng(number), 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (begun := time.perf_counter()) < end:
            x = np.round(rng.uniform(-1, 1, (5 if turn % 10 == 9 else 1, width)), 4)
            writer.write(request(*written(x, ROUTES[turn % 2], model), key))
            status, body = await answer(reader)
            heard.hear(status, body, len(x), time.perf_counter() - begun)
            turn += 1
    except (OSError, asyncio.IncompleteReadError):
        heard.statuses[0] += 1
    finally:
        writer.close()


def written(x: Any, route: str, model: str) -> tuple[str, bytes]:
    """Write rows for a route; return its path and the body."""
    if route == ROUTES[0]:
        return route, orjson.dumps({"inputs": x}, option=orjson.OPT_SERIALIZE_NUMPY)
    tensor = {"name": "x", "shape": x.shape, "datatype": "FP64", "data": x.ravel()}
    body = orjson.dumps({"inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return route.format(model=model), body


if __name__ == "__main__":
    main()

"""The services of Tramèr et al. 2016 extracted over HTTP: queries, money and time as in Table 1.

Run: python benchmarks/as_in_2016.py [--quick]. Each is asked row by row. Theirs held an answer
0.1 s (Amazon) or 0.55 s (BigML); ours does for 5 ms, and the difference is added for each query.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from quick import QUICK

from moatbench.record.curve import Row, read
from moatbench.serving import keys
from moatbench.serving.servers import listening
from moatbench.serving.store import Store

HELD = 0.005  # seconds, here
PRICE = 1e-4  # US dollars a prediction, Amazon's
AMAZON = ("victim.family=amazon_logistic", "attack=feature_extraction")
BIGML = ("victim.family=tree", "victim.full=false", "attack=path_finding")


class Case(NamedTuple):
    """A row of their Table 1: the service, its data, how it is attacked, and what they needed."""

    service: str
    victim: tuple[str, ...]
    data: str
    attack: tuple[str, ...]
    queries: int
    seconds: int
    units: str = "own"


CASES = (
    Case(
        "Amazon", ("victim=amazon_logistic", "victim.bins=0"), "digits", AMAZON, 650, 70, "scaled"
    ),
    Case("Amazon", ("victim=amazon_logistic",), "adult_income", AMAZON, 1485, 149),
    Case("BigML", ("victim=bigml_tree",), "german_credit", BIGML, 1150, 631),
    Case("BigML", ("victim=bigml_tree",), "steak", BIGML, 4013, 2088),
)


@contextmanager
def served(case: Case, folder: Path) -> Iterator[tuple[str, str]]:
    """Run the service; give its address and a key."""
    store = Store(folder / "state")
    key = keys.create(store, "thief")[1]
    store.close()
    with listening(0) as place:
        port = int(place.getsockname()[1])
    command = [sys.executable, "-c", "from moatbench.cli.serve import main; main()"]
    command += [*case.victim, f"data={case.data}", "defense=none", f"state={folder / 'state'}"]
    command += [f"port={port}", "admin_port=0", f"latency={HELD}"]
    out = folder / "out.txt"
    with out.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        while not re.search(r"routes at", out.read_text()):
            if process.poll() is not None:
                raise RuntimeError(out.read_text())
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", key
    finally:
        process.terminate()
        process.wait()


def extracted(case: Case) -> list[Row]:
    """Attack the service with as many queries as they did, and with more."""
    points = [case.queries * times for times in ((1,) if QUICK else (1, 2, 4))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served(case, folder) as (url, key):
            command = [sys.executable, "-m", "moatbench", "victim=http", f"victim.url={url}"]
            command += ["victim.key_env=THIEF", f"victim.units={case.units}", "victim.partial=true"]
            command += [*case.attack, f"data={case.data}", "victim.batch=1", f"price={PRICE}"]
            command += [f"checkpoints={points}".replace(" ", ""), "victim.most_rows=100000"]
            command += ["defense=none", "tracking.enabled=false", f"hydra.run.dir={folder}/run"]
            command += [f"cache={folder}/cache"]
            done = subprocess.run(
                command, env={**os.environ, "THIEF": key}, capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(done.stderr)
        return read(folder / "run" / "curve.csv")


def main() -> None:
    """Print the table; arguments name the data of some of its rows."""
    print("| service | data | queries | fidelity, test/uniform | dollars | seconds | theirs |")
    print("|---|---|---:|---:|---:|---:|---:|")
    chosen = [case for case in CASES if case.data in sys.argv[1:]] or CASES
    for case in chosen[:1] if QUICK else chosen:
        held = case.seconds / case.queries
        for row in extracted(case):
            n = row["queries"]
            seconds = row["seconds"] + n * (held - HELD)
            fidelity = f"{100 * row['fidelity_test']:.2f}/{100 * row['fidelity_uniform']:.2f}"
            theirs = f"{case.queries:,} in {case.seconds:,} s" if n == case.queries else ""
            told = f"{n:,} | {fidelity} | {row['dollars']:.2f} | {seconds:,.0f} | {theirs}"
            print(f"| {case.service} | {case.data} | {told} |", flush=True)


if __name__ == "__main__":
    main()

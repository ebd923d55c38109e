"""What pictures cost before the first query, and what a run with a network computes of it.

Run: python benchmarks/pictures.py [loading] [cached] [rows] [--quick]. One thread, a minute.
`loading` reads, splits and hashes 60,000 pictures of 32 x 32 in colour from a .npz in a process of
its own; wanted: under 5 seconds and 600 MB, all of Python's included. `cached` trains victim=cnn on
digits and fetches it in another process, torch imported before the clock starts; wanted: under a
second, and the same bits. `rows` counts the rows that the victim computes in a run with no defense;
wanted: at most the test rows, the uniform ones, and 1.1 times the queries.
"""

import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Any
from unittest.mock import patch

import numpy as np
from configs import composed
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.compose.build import build_attacks, build_data, build_defense, build_victim
from moatbench.learners.deep.nets import Net
from moatbench.randomness import stream
from moatbench.reproduce.markdown import table
from moatbench.runner.extract import Extraction
from moatbench.types import Array

PICTURES = 1_000 if QUICK else 60_000
QUERIES = 40 if QUICK else 650
SMALL = ("+victim.training.steps=50",) if QUICK else ()
DIGITS = ("data=digits", "victim=cnn", *SMALL)


def main(parts: list[str]) -> None:
    """Print each part's table."""
    if unknown := sorted({*parts} - {*PARTS}):
        sys.exit(f"the part must be of {', '.join(PARTS)}, got {', '.join(unknown)}")
    for name, part in PARTS.items():
        if not parts or name in parts:
            part()


def loading() -> None:
    """Print what reading, splitting and hashing take."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npz"
        written(file)
        seconds, processor, megabytes, n = alone(loaded, file)
    head = ["pictures of 3,072 bytes", "seconds", "of the processor", "MB at most"]
    print(table(head, [[f"{n:,}", f"{seconds:.1f}", f"{processor:.1f}", f"{megabytes:.0f}"]]))


def written(file: Path) -> None:
    """Write random pictures of ten classes; a sixth are the judge's."""
    x = np.random.default_rng(0).integers(0, 256, (PICTURES, 32, 32, 3), np.uint8)
    y, sixth = np.arange(PICTURES) % 10, PICTURES // 6
    np.savez(file, x_train=x[sixth:], y_train=y[sixth:], x_test=x[:sixth], y_test=y[:sixth])


def loaded(file: Path) -> tuple[float, float, float, int]:
    """Return seconds, those of the processor, MB of the whole process, and the rows of all."""
    cfg = composed("data=npz", f"data.path={file}")
    start, worked = monotonic(), process_time()
    data = build_data(cfg)
    shares = data.shares(stream(0, "victim"))
    data.table.sha256()
    took = monotonic() - start, process_time() - worked
    n = sum(len(shares.packed(name)) for name in ("x_train", "pool", "x_test"))
    return *took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, n


def cached() -> None:
    """Print what training a victim takes, and what fetching it does."""
    with TemporaryDirectory() as folder:
        found = [alone(fetched, folder, DIGITS) for _ in range(2)]
    cells = [
        [way, f"{seconds:.2f}", f"{processor:.2f}", digest[:12]]
        for way, (seconds, processor, digest) in zip(("trained", "fetched"), found, strict=True)
    ]
    head = ["victim=cnn on digits", "seconds", "of the processor", "sha256 of its answers"]
    print(table(head, cells), flush=True)
    if found[0][2] != found[1][2]:
        sys.exit("the fetched victim must answer the same bits, and does not")


def fetched(folder: str, overrides: Sequence[str]) -> tuple[float, float, str]:
    """Have the victim of seed 0; return seconds, the processor's, and a hash of its answers."""
    import torch  # noqa: F401  (a run imports it once, whatever it does)

    cfg = composed(*overrides, f"cache={folder}")
    data = build_data(cfg)
    start, worked = monotonic(), process_time()
    with threadpool_limits(1):
        victim = build_victim(cfg, data, 0)
    took = monotonic() - start, process_time() - worked
    x = np.vstack([victim.shares.x_test, victim.space.sample(1000, np.random.default_rng(0))])
    outputs = victim.predict(x).outputs
    assert outputs is not None
    return *took, sha256(outputs.tobytes()).hexdigest()


def rows() -> None:
    """Print how many rows the victim computes in a run, its judge and its customers among them."""
    cfg = composed(*DIGITS, "cache=null", "attack=active")
    victim = build_victim(cfg, build_data(cfg), 0)
    model: Any = victim.predict
    model.known.clear()  # what it was tried on
    with counted(model.net) as computed:
        extraction = Extraction(
            victim,
            build_defense(cfg.defense),
            build_attacks(cfg.attack, "active")["active"],
            [QUERIES],
        )
        (point,) = extraction
    judged = sum(len(sample.x) for sample in extraction.judge.samples)
    most = judged + 1.1 * QUERIES
    head = ["victim=cnn on digits, defense=none", "judged", "queries", "computed", "at most"]
    row = [f"fidelity {point.metrics['fidelity_test']:.3f}", f"{judged:,}", f"{QUERIES:,}"]
    print(table(head, [[*row, f"{sum(computed):,}", f"{most:,.0f}"]]), flush=True)


@contextmanager
def counted(watched: Net) -> Iterator[list[int]]:
    """Count the rows that one network is asked for."""
    outputs, computed = Net.outputs, list[int]()

    def counting(net: Net, z: Array) -> Array:
        if net is watched:
            computed.append(len(z))
        return outputs(net, z)

    with patch.object(Net, "outputs", counting):
        yield computed


def alone(work: Callable[..., Any], *given: Any) -> Any:
    """Do it in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return processes.submit(work, *given).result()


PARTS = {"loading": loading, "cached": cached, "rows": rows}


if __name__ == "__main__":
    main(sys.argv[1:])

"""One theft of a ResNet-18 on a GPU: victim, Knockoff Nets with 50,000 queries, judge.

Run: python benchmarks/gpu.py [--quick]. Wanted: 6 minutes at most, and the GPU busy for 70 % of the
attack. Where torch finds no GPU, or with --quick, a small network is stolen with few queries on the
CPU, and the table says so: its seconds mean nothing.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TypeVar

import torch
from configs import composed
from quick import QUICK

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.compose.build import build_data, instantiate
from moatbench.defense import Defense
from moatbench.judge.judge import Judge
from moatbench.learners.deep.device import computing, described
from moatbench.randomness import stream
from moatbench.reproduce.markdown import table
from moatbench.victim import Victim

T = TypeVar("T")
ASKED = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Size:
    """How much is stolen of what."""

    device: str
    precision: str
    net: tuple[str, ...]
    rows: int
    checkpoints: tuple[int, ...]


WHOLE = Size("cuda", "bfloat16", ("victim.net=resnet18",), 60_000, (10_000, 25_000, 50_000))
SMALL = Size(
    "cpu",
    "float32",
    ("victim.net=cnn", "+victim.knobs.width=4", "+victim.training.steps=200"),
    600,
    (100,),
)


def main() -> None:
    """Print what each part took, and what was stolen."""
    size = SMALL if QUICK or not torch.cuda.is_available() else WHOLE
    with computing(size.device, size.precision):
        print(f"{described()['device']}, {size.precision}" + _reduced(size))
        start = time.monotonic()
        victim, training = _timed(lambda: _victim(size))
        judge, judging = _timed(lambda: Judge(victim, stream(0, "judge")))
        with watched() as gpu:
            (scores, attacking) = _timed(lambda: _stolen(victim, judge, size))
    rows = [["victim", f"{training:.1f}", f"{judge.victim_accuracy:.3f} accuracy"]]
    rows += [["judge's truth", f"{judging:.1f}", f"{len(judge.samples)} samples"]]
    rows += [["attack", f"{attacking:.1f}", " ".join(scores)]]
    rows += [["in all", f"{time.monotonic() - start:.1f}", f"GPU busy {gpu.told()}"]]
    print(table(["part", "seconds", "found"], rows))


def _reduced(size: Size) -> str:
    return "" if size is WHOLE else ": REDUCED, no GPU or --quick; the seconds mean nothing"


def _victim(size: Size) -> Victim:
    pool = ("data@pool=shapes32", f"pool.rows={size.rows}", "pool.data_seed=1")
    cfg = composed("data=shapes32", f"data.rows={size.rows}", *pool, "victim=net", *size.net)
    victim: Victim = instantiate(cfg.victim, build_data(cfg), stream(0, "victim"))
    return victim


def _stolen(victim: Victim, judge: Judge, size: Size) -> list[str]:
    """Fidelity on test data at each checkpoint."""
    api = MeteredAPI(Deployment(victim, Defense(), stream(0, "defense")), size.checkpoints)
    attack = instantiate(composed("attack=knockoff").attack)
    run = attack.run(Target(api, victim.shares.pool), stream(0, "attack"))
    return [
        f"{n:,}: {judge.score(surrogate)['fidelity_test']:.3f}"
        for n, surrogate in zip(size.checkpoints, run, strict=False)
    ]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.monotonic()
    return work(), time.monotonic() - start


@dataclass
class Gpu:
    """What a GPU said of itself, once a second."""

    busy: list[float] = field(default_factory=list)

    def told(self) -> str:
        """Say for which share of the time it was busy."""
        return f"{sum(self.busy) / len(self.busy):.0f} %" if self.busy else "unknown"


@contextmanager
def watched() -> Iterator[Gpu]:
    """Ask a GPU every second how busy it is; without one, nobody is asked."""
    gpu, done = Gpu(), Event()

    def ask() -> None:
        while not done.wait(1):
            with suppress(OSError, ValueError):
                gpu.busy.append(float(subprocess.check_output(ASKED, text=True).split()[0]))

    asking = Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield gpu
    finally:
        done.set()
        asking.join()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

"""What a sweep costs beside its attacks: CPU seconds a run, and what a second worker brings.

Run: python benchmarks/sweep.py [--quick]. Some ten minutes on two cores that do nothing else.
"""

import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from quick import QUICK
from threadpoolctl import threadpool_limits

RUNS = ("defense=none,rounding,label_only,gaussian_noise", f"seed=range(0,{1 if QUICK else 50})")
TINY = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]")
BUDGETS = "checkpoints=[20,40]" if QUICK else "checkpoints=[755,1510]"
WORK = ("data=digits", "victim=mlp", "attack=uniform_retraining", BUDGETS)
BOUND = ("defense=rounding", f"seed=range(0,{2 if QUICK else 40})", "victim_seed=0")


def sweep(
    folder: Path, workers: int, *overrides: str
) -> tuple[float, float, list[dict[str, float]]]:
    """Run a sweep; return wall seconds, CPU seconds, and the summaries of its runs."""
    launcher = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={workers}")
    out = folder / f"out-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "moatbench", "-m", *launcher, *overrides]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, f"hydra.sweep.dir={out}"], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, [json.loads(file.read_text()) for file in out.glob("*/summary.json")]


def attacked(runs: list[dict[str, float]]) -> float:
    """Add up the seconds that the attacks themselves took."""
    return sum(
        summary["final_seconds"]
        for run in runs
        for summary in run["summaries"].values()  # type: ignore[attr-defined]
    )


def bare(start: Any, seconds: Any) -> None:
    """Do the attack of `WORK` four times over, without a sweep around it; tell how long it took."""
    from moatbench.attacks.uniform_retraining import UniformRetraining
    from moatbench.defenses.rounding import Rounding
    from moatbench.randomness import stream
    from moatbench.runner.extract import extract
    from moatbench.victims.datasets import bundled
    from moatbench.victims.mlp import mlp

    attack = UniformRetraining(answers="confidences", learner="published", inputs="cube")
    with threadpool_limits(1):
        victim = mlp(bundled("digits"), stream(0, "victim"))
        start.wait()
        began = time.perf_counter()
        for seed in range(4):
            list(extract(victim, Rounding(2), attack, checkpoints=[755, 1510], seed=seed))
    seconds.put(time.perf_counter() - began)


def machine() -> float:
    """Tell what a second process brings where nothing is shared but the machine."""
    context, took = multiprocessing.get_context("spawn"), []
    for n in (1, 2):
        start, seconds = context.Barrier(n), context.Queue()
        workers = [context.Process(target=bare, args=(start, seconds)) for _ in range(n)]
        for worker in workers:
            worker.start()
        took.append(max(seconds.get() for _ in workers))
    one, two = took
    return float(2 * one / two)


def main() -> None:
    """Print the measurements."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sweep(folder, 2, *TINY, *RUNS, "tracking.enabled=false")  # victims are cached from here on
        wall, cpu, runs = sweep(folder, 2, *TINY, *RUNS)
        beside = (cpu - attacked(runs)) / len(runs)
        print(f"{len(runs)} tiny runs on 2 workers: {wall:.0f} s, {cpu:.0f} s of CPU")
        print(f"beside the attacks: {beside:.2f} s of one core a run, start of all included")
        sweep(folder, 1, *WORK, *BOUND[:1], "seed=0", "victim_seed=0", "tracking.enabled=false")
        walls = {n: sweep(folder, n, *WORK, *BOUND, f"name=w{n}")[0] for n in (1, 2)}
        gain = walls[1] / walls[2]
        print(f"attack-bound runs: {walls[1]:.0f} s with one worker, {walls[2]:.0f} s with two")
        print(f"throughput of two workers: {gain:.2f} x")
        if not QUICK:
            print(f"of two bare processes, which share nothing but the machine: {machine():.2f} x")


if __name__ == "__main__":
    main()

"""What a sweep costs beside its attacks: CPU seconds a run, and what a second worker brings.

python benchmarks/sweep.py
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = ("defense=none,rounding,label_only,gaussian_noise", "seed=range(0,50)")
TINY = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]")
WORK = ("data=digits", "victim=mlp", "attack=uniform_retraining", "checkpoints=[755,1510]")
BOUND = ("defense=rounding", "seed=range(0,40)", "victim_seed=0")


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


def main() -> None:
    """Print both measurements."""
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


if __name__ == "__main__":
    main()

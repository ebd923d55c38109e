"""Runs of rows, two at a time, through the pipeline that `moatbench` itself uses."""

import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from math import nan
from multiprocessing import active_children, get_context
from queue import SimpleQueue

from hydra import compose, initialize_config_module

from moatbench.compose.build import build
from moatbench.compose.schema import register
from moatbench.compose.words.errors import explain
from moatbench.record.identity import code_version
from moatbench.reproduce.results import FAILED, FINISHED, Job, Measured
from moatbench.reproduce.spec import Rerun, unknowns
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.runner.job import one_pool

THREADS = 1  # of a run's BLAS
DIED = "the process that ran it died (out of memory?); the same command tries it again"


def play(row: Rerun, seed: int, data_dir: str | None) -> list[Measured]:
    """Run a row with one seed; whatever goes wrong becomes the run's one record.

    Args:
        row: what to run.
        seed: of every stream.
        data_dir: folder of the CSV files; None leaves it to the config.
    """
    try:
        with one_pool(THREADS):
            return _records(row, seed, data_dir)
    except Exception as error:  # of anybody's code: the other rows go on
        return [_failed(row, seed, explain(error))]


def play_all(jobs: Sequence[Job], data_dir: str | None, workers: int) -> Iterator[list[Measured]]:
    """Run the jobs in processes of their own; yield each as it ends.

    A process that dies takes down no job but its own.
    """
    idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
    for _ in range(workers):
        idle.put(_process())

    def run(job: Job) -> list[Measured]:
        process = idle.get()
        try:
            return process.submit(play, *job, data_dir).result()
        except BrokenProcessPool:
            process = _process()
            return [_failed(*job, DIED)]
        finally:
            idle.put(process)

    with ThreadPoolExecutor(workers) as threads:
        futures = [threads.submit(run, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:  # an interrupt above all: minutes of work would be waited for
            threads.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            raise
    for _ in range(workers):
        idle.get().shutdown()


def _process() -> ProcessPoolExecutor:
    # A fork would copy the threads of BLAS in any state.
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=_ignore_interrupts)


def _failed(row: Rerun, seed: int, why: str) -> Measured:
    return Measured(row.key, row.settings, seed, FAILED, code=code_version(), note=why)


def _records(row: Rerun, seed: int, data_dir: str | None) -> list[Measured]:
    started = time.process_time()
    register()
    where = [f"data_dir={data_dir}"] if data_dir else []
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", [*row.overrides, f"seed={seed}", *where])
        parts = build(cfg, row.attack)
    budgets = row.checkpoints(parts.victim)
    attack = parts.attacks[row.attack]
    points = list(Extraction(parts.victim, parts.defense, attack, budgets, seed, cfg.price))
    cpu = time.process_time() - started
    size = unknowns(parts.victim)
    return [_record(row, seed, point, size, len(points), cpu) for point in points]


def _record(
    row: Rerun, seed: int, point: Checkpoint, size: int, points: int, cpu: float
) -> Measured:
    return Measured(
        row=row.key,
        settings=row.settings,
        seed=seed,
        status=FINISHED,
        points=points,
        queries=point.queries,
        budget=point.queries / (size if row.unit == "unknowns" else 1),
        test=point.metrics["fidelity_test"],
        uniform=point.metrics["fidelity_uniform"],
        cube=point.metrics.get("fidelity_cube", nan),
        tv=point.metrics["tv_uniform"],
        seconds=point.seconds,
        cpu=cpu,
        converged=int(point.converged),
        unknowns=size,
        code=code_version(),
        note=point.note,
    )


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which stops its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

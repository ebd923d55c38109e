"""The command line: moatbench victim=softmax data=digits defense=rounding attack=suite seed=0.

This module and what it imports at the top stay light: `--help` and tab completion run it.
"""

import gc
import logging
import os
import signal
import sys
from contextlib import chdir
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from moatbench.cli.say import finish_sweep
from moatbench.cli.show import show_run, show_unlogged
from moatbench.compose.schema import register
from moatbench.compose.words.errors import WANTS_TRACEBACK, explain
from moatbench.compose.words.overrides import explain_composition, refuse_flags

log = logging.getLogger("moatbench")
INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended

register()
# Imports and configs make objects by the hundred thousand, hardly one of them garbage: to look for
# it after each 700 takes a twelfth of a small run
gc.set_threshold(20_000)


@hydra.main(version_base="1.3", config_path="pkg://moatbench.conf", config_name="config")
def job(cfg: DictConfig) -> str | None:
    """Run one combination; in a sweep, return what ended one: it must not stop the others."""
    # Where hydra.job.chdir leads away, relative paths are still those of the command.
    with chdir(HydraConfig.get().runtime.cwd):
        return _job(cfg)


def _job(cfg: DictConfig) -> str | None:
    from moatbench.runner.estimate import estimate
    from moatbench.runner.job import RunFailed, run
    from moatbench.tracking.store import NotTaken

    sweep, folder = HydraConfig.get().mode == RunMode.MULTIRUN, HydraConfig.get().runtime.output_dir
    try:
        if cfg.victim.get("dry_run"):
            print(estimate(cfg, str(HydraConfig.get().runtime.choices["attack"])))
            return None
        summary = run(cfg)
    except Exception as error:
        if sweep:
            if not isinstance(error, RunFailed):  # of that one, the watch tells
                log.error("run %s failed: %s", HydraConfig.get().job.num, explain(error))
            return explain(error)
        if WANTS_TRACEBACK:
            raise
        if isinstance(error, NotTaken):
            show_unlogged(Path(folder), verbose=cfg.verbose)
        # An Exception would pass through Hydra, which adds lines of its own.
        sys.exit(f"moatbench: {explain(error)}")
    if not sweep:
        show_run(summary, Path(folder), verbose=cfg.verbose)
    return None


def _interrupted() -> NoReturn:
    """End what still runs, show what is whole, and exit as a shell expects of Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would cut the table short
    from moatbench.sweep.workers import stop_workers

    stop_workers()
    finish_sweep("interrupted")
    told = "moatbench: interrupted; the checkpoints that were reached are in curve.csv"
    print(told, file=sys.stderr)
    sys.exit(INTERRUPTED)


def main() -> None:
    """Run the command line; on an error, say it in one line and exit with 1."""
    # Hydra then raises instead of printing its own, longer message.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        refuse_flags(sys.argv[1:])
        job()
    except KeyboardInterrupt:
        _interrupted()
    except Exception as error:
        if WANTS_TRACEBACK:
            raise
        told = explain_composition(error, [a for a in sys.argv[1:] if not a.startswith("-")])
        finish_sweep(told)
        sys.exit(f"moatbench: {told}")
    finish_sweep()

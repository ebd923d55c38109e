"""What Hydra calls before and after a multirun."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

from moatbench.sweep.places import place_run, place_sweep
from moatbench.sweep.progress import Progress

log = logging.getLogger(__name__)
SEED = re.compile(r"(victim_)?seed=\d+")


class Watched(Callback):
    """Open the tracking store before workers could race to create it; tell of finished runs.

    The watching is done in the parent, on the folder of the sweep: so it works with every launcher.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        place_run(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        place_sweep(config)
        HydraConfig.instance().set_config(config)
        compose_seeds_once()
        if config.tracking.enabled:
            _open_store(config)
        folder, total = Path(config.hydra.sweep.dir).absolute(), planned(config)
        print(f"sweep of {total or 'as many as it takes'} runs in {folder}", flush=True)
        self._progress = Progress(folder, total)
        self._progress.start()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Launchers send the callbacks to their workers, which have nothing to watch."""
        return type(self), ()


def compose_seeds_once() -> None:
    """Let Hydra try out, before a sweep, one of the runs that differ in nothing but their seeds.

    It composes each run before it launches any, and once more in the worker. Of hundreds of runs
    that is most of a minute, for which all workers would wait.
    """
    validate = Sweeper.validate_batch_is_legal

    def sparing(self: Sweeper, batch: Sequence[Sequence[str]]) -> None:
        kinds = {tuple(o for o in each if not SEED.fullmatch(o)): each for each in batch}
        validate(self, list(kinds.values()))

    if validate.__name__ != sparing.__name__:
        Sweeper.validate_batch_is_legal = sparing  # type: ignore[method-assign]


def planned(config: DictConfig) -> int | None:
    """Count the runs that a grid asks for; None for a sweeper that searches."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    sweeper = config.hydra.sweeper
    if not str(sweeper.get("_target_", "")).endswith("BasicSweeper"):
        trials = sweeper.get("n_trials")
        return int(trials) if trials is not None else None
    grid = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    hydra = GlobalHydra.instance()  # it knows the options that a glob(*) stands for
    options = hydra.config_loader() if hydra.is_initialized() else None
    parser = OverridesParser.create(options)
    given = parser.parse_overrides([*grid, *config.hydra.overrides.task])
    return sum(len(batch) for batch in BasicSweeper.split_arguments(given, None))


def _open_store(config: DictConfig) -> None:
    """Make the store before workers could race to.

    SQLite's is made by the first worker, under a lock: the parent then need not import MLflow,
    which takes seconds that all workers would wait for.
    """
    from moatbench.tracking import store

    uri = store.address(config.tracking.uri)
    if store.database(uri):
        return
    try:
        store.open_store(uri, config.name, config.tracking.artifacts)
    except Exception as error:  # a server that is down stops no run: each keeps its files
        log.warning("MLflow cannot be reached (%s); runs keep their files", store.cause(error))

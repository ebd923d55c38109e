"""One run, from a composed config to a folder: curve.csv, summary.json, a figure, an MLflow run."""

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from moatbench.compose.build import SUITE, Parts, build
from moatbench.compose.errors import explain
from moatbench.defense import Defense
from moatbench.display.figure import draw
from moatbench.judge.judge import Judge
from moatbench.randomness import stream
from moatbench.record import marks
from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import CurveFile, Row, by_attack, summary, worst_case
from moatbench.record.identity import PACKAGES, command, config_hash, flat, title, version_of
from moatbench.record.summary import CONFIRMATION, MEASUREMENT, without_nan
from moatbench.runner import flags, selfcheck
from moatbench.runner.card import accuracy, write_victim
from moatbench.runner.suite import Failed, Finished, Point, Skipped, run_attacks
from moatbench.tracking import log as track
from moatbench.tracking import store
from moatbench.types import Mask

log = logging.getLogger(__name__)


class RunFailed(RuntimeError):
    """A run that did not come to its end; what it reached is in its folder."""


@dataclass
class Record:
    """What happened in a run, as it is gathered."""

    folder: Path
    names: Mapping[str, Any]  # victim, data, defense, attack, seed
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    aside: dict[str, Mapping[str, float]] = field(default_factory=dict)  # beside the curve
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    floor: str | None = None
    hits: dict[str, list[Mask]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    repeated: dict[str, Mapping[str, float]] = field(default_factory=dict)
    trace: str = ""

    def status(self) -> str:
        """One word: finished, not_applicable or failed."""
        if self.failed:
            return "failed"
        return "finished" if self.rows else "not_applicable"

    def reason(self) -> str:
        """Why the run failed or does not apply; '' for a finished one."""
        if self.failed or not self.rows:
            reasons = (self.failed or self.skipped).items()
            if len(reasons) > 1 and len({why for _, why in reasons}) == 1:  # it is the defense
                return next(why for _, why in reasons)
            return "; ".join(f"{name}: {why}" if name else why for name, why in reasons)
        return ""


def run(cfg: DictConfig) -> dict[str, Any]:
    """Run what the config says; return the summary that was written.

    Raises:
        RunFailed: an attack or a constructor raised. Folder and MLflow keep what was reached.
        store.TrackingFailed: all ran, but MLflow could not be reached.
    """
    hydra = HydraConfig.get()
    attack = str(hydra.runtime.choices["attack"])
    record = Record(Path(hydra.runtime.output_dir), _names(cfg, attack))
    if earlier := _done_before(cfg, record.folder):
        return earlier
    started = time.time()
    parts: Parts | None = None
    with one_pool(cfg.threads):
        try:
            parts = build(cfg, attack)
            write_victim(parts.victim, record.folder)
            _play(cfg, parts, record, is_suite=attack == SUITE)
            _doubt(cfg, parts, record)
        except Exception as error:
            record.failed[""] = explain(error)
            record.trace = traceback.format_exc()
    report = _report(cfg, parts, record, started)
    (record.folder / "summary.json").write_text(json.dumps(report, indent=2) + "\n")
    if record.rows:
        draw(record.rows, title(report), record.folder)
    if report["tracking_uri"]:
        track.log(record.folder, report["tracking_uri"])
    if record.failed:
        raise RunFailed(record.reason())
    return report


def one_pool(threads: int) -> threadpool_limits:
    """Limit the threads of every BLAS and OpenMP pool that a run may use."""
    # A limit holds for libraries that are loaded already, and SciPy brings a BLAS of its own.
    for library in ("scipy.linalg", "sklearn.utils"):
        import_module(library)
    return threadpool_limits(threads)


def _done_before(cfg: DictConfig, folder: Path) -> dict[str, Any] | None:
    """In a sweep, fetch what MLflow has of this very config, instead of running it again."""
    if HydraConfig.get().mode != RunMode.MULTIRUN or cfg.force or not cfg.tracking.enabled:
        return None
    uri = store.address(cfg.tracking.uri)
    try:
        run = track.finished(uri, cfg.name, config_hash(cfg))
    except store.TrackingFailed as down:
        log.warning("%s; nothing is skipped", down)
        return None
    return track.fetch(uri, run, folder) if run else None


def _names(cfg: DictConfig, attack: str) -> dict[str, Any]:
    choices = HydraConfig.get().runtime.choices
    return {
        "victim": str(choices["victim"]),
        "data": str(choices["data"]),
        "defense": "+".join(str(name) for name in cfg.defense) or "none",
        "attack": attack,
        "seed": int(cfg.seed),
    }


def _play(cfg: DictConfig, parts: Parts, record: Record, *, is_suite: bool) -> None:
    """Run the attacks; write each checkpoint the moment it is reached."""
    file = CurveFile(record.folder / "curve.csv")
    judge = Judge(parts.victim, stream(cfg.seed, "judge"), side_labels=cfg.side_labels)
    record.baselines, record.floor = judge.baselines, judge.floor
    total = len(parts.attacks) * len(parts.checkpoints)
    with tqdm(total=total, unit="checkpoint", disable=_is_hidden(), leave=False) as bar:
        for event in run_attacks(
            parts.victim,
            parts.defense,
            parts.attacks,
            checkpoints=parts.checkpoints,
            seed=cfg.seed,
            price=cfg.price,
            judge=judge,
        ):
            bar.set_postfix_str(event.attack)
            if isinstance(event, Point):
                row = {"attack": event.attack, **event.checkpoint.row()}
                record.rows.append(row)
                record.hits.setdefault(event.attack, []).append(event.checkpoint.hits)
                file.add({**row, "winner": ""} if is_suite else row)
                bar.update()
            elif isinstance(event, Skipped):
                record.skipped[event.attack] = event.reason
                bar.update(len(parts.checkpoints))
            elif isinstance(event, Failed):
                record.failed[event.attack] = explain(event.error)
                record.trace = "".join(traceback.format_exception(event.error))
            elif isinstance(event, Finished):
                record.aside[event.attack] = {
                    "honest_seconds_added": event.seconds_added,
                    "honest_seconds_waited": event.seconds_waited,
                    **{f"detection_{name}": value for name, value in event.detection.items()},
                }
                if is_suite and HydraConfig.get().mode != RunMode.MULTIRUN:
                    with tqdm.external_write_mode():
                        _say_finished(record.rows[-1])
    if is_suite:
        worst = worst_case(by_attack(record.rows))
        record.rows += worst
        for row in worst:
            file.add(row)


def _doubt(cfg: DictConfig, parts: Parts, record: Record) -> None:
    """Check the defense on a twin of its own, and the curves for what they cannot be."""
    if not record.rows:
        return
    told = parts.victim.confidences and parts.defense.traits.confidences
    record.flags = flags.of_run(
        parts.attacks, parts.defense, by_attack(record.rows), record.hits, confidences=told
    )
    found, repeated = selfcheck.of_layers(parts.victim, _layers(cfg, parts), cfg.seed)
    record.flags += found
    record.repeated = {name: seen._asdict() for name, seen in repeated.items()}


def _layers(cfg: DictConfig, parts: Parts | None) -> dict[str, Defense]:
    """Name the layers of the defense as the config does; none without a defense."""
    built = parts.defense.layers.values() if parts and cfg.defense else ()
    return dict(zip(map(str, cfg.defense), built, strict=bool(built)))


def _is_hidden() -> bool:
    """Whether a progress bar of this run would be in the way: no terminal, or runs side by side."""
    hydra = HydraConfig.get()
    alone = hydra.mode != RunMode.MULTIRUN or hydra.runtime.choices["hydra/launcher"] == "basic"
    return not (sys.stderr.isatty() and alone)


def _say_finished(last: Row) -> None:
    """Tell how far an attack came: a suite takes a while, and a log file has no progress bar."""
    fidelity = f"{100 * last['fidelity_test']:.2f}/{100 * last['fidelity_uniform']:.2f} %"
    log.info("%s: %s at %s, %.1f s", last["attack"], fidelity, last["queries"], last["seconds"])


def _report(cfg: DictConfig, parts: Parts | None, record: Record, started: float) -> dict[str, Any]:
    """Gather all that a reader of the folder needs, as plain JSON."""
    curves = by_attack(record.rows)
    attacks = parts.attacks if parts else {}
    whole = curves.keys() - record.failed.keys()
    summaries = {
        name: {**summary(curve), **record.aside.get(curve[-1].get("winner", name), {})}
        for name, curve in curves.items()
    }
    out: dict[str, Any] = {
        **record.names,
        "sweep": _sweep(),
        "config_hash": config_hash(cfg),
        "status": record.status(),
        "reason": record.reason(),
        "name": cfg.name,
        "tracking_uri": store.address(cfg.tracking.uri) if cfg.tracking.enabled else None,
        "artifacts": cfg.tracking.artifacts,
        "report": cfg.report,
        "role": CONFIRMATION if cfg.confirmation else MEASUREMENT,
        "winner": curves[WORST_CASE][-1]["winner"] if WORST_CASE in curves else None,
        "aware": flags.aware(attacks, parts.defense, whole) if parts else {},
        "kinds": flags.kinds(_layers(cfg, parts)),
        "oracles": flags.oracles(attacks, curves),
        "baselines": record.baselines,
        "floor": record.floor,
        "summaries": summaries,
        "not_applicable": record.skipped,
        "failed": record.failed,
        "flags": record.flags,
        "repeated": record.repeated,
        "checkpoints": list(parts.checkpoints) if parts else [],
        "victim_accuracy": accuracy(parts.victim) if parts else None,
        "data_provenance": dict(parts.victim.shares.provenance) if parts else {},
        "command": command(),
        "knobs": flat(OmegaConf.to_container(cfg, resolve=True)),
        "versions": {"python": sys.version.split()[0], **{p: version_of(p) for p in PACKAGES}},
        "started": started,
        "seconds": time.time() - started,
        "trace": record.trace,
    }
    out["marks"] = marks.marks(out)
    return dict(without_nan(out))


def _sweep() -> str:
    """Name the sweep that the run is part of; '' for a single run."""
    hydra = HydraConfig.get()
    return str(Path(hydra.sweep.dir).absolute()) if hydra.mode == RunMode.MULTIRUN else ""

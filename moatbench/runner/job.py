"""One run, from a composed config to a folder: curve.csv, summary.json, a figure, an MLflow run."""

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from moatbench.compose.build import SUITE, Parts, build
from moatbench.compose.naming import attack_name, data_name, defense_name, victim_name
from moatbench.compose.repeat import as_given, repeating
from moatbench.compose.words.errors import explain
from moatbench.defense import Defense
from moatbench.display.figure import draw
from moatbench.judge.judge import Judge
from moatbench.judge.plan import plan
from moatbench.judge.service import OwnDefense
from moatbench.judge.steady import varies
from moatbench.knobs import check_whole
from moatbench.learners.deep.device import computing, described
from moatbench.randomness import stream
from moatbench.record import recovered
from moatbench.record.command import Command
from moatbench.record.curve import Row, by_attack, digest
from moatbench.record.folder import LEDGER, sole
from moatbench.record.hardware import hardware
from moatbench.record.identity import PACKAGES, config_hash, knobs, version_of
from moatbench.record.inputs import inputs_of
from moatbench.record.summary import CONFIRMATION, MEASUREMENT, SERVICE, Summary
from moatbench.remote.client import Stopped
from moatbench.remote.endpoint import LATE
from moatbench.remote.guarded import endpoint_of
from moatbench.runner.card import accuracy, first_line, write_victim
from moatbench.runner.checks import flags, selfcheck
from moatbench.runner.gathered import Gathered
from moatbench.runner.playing import staying
from moatbench.runner.secret import hidden, secret_for
from moatbench.runner.suite import Event, Finished, Point, Skipped, run_attacks
from moatbench.tracking.log import log_run
from moatbench.tracking.registry import fetched
from moatbench.tracking.resume import done_before
from moatbench.tracking.store import address
from moatbench.tracking.tried import require_usable
from moatbench.victim import NotApplicable

log = logging.getLogger(__name__)
QUIET = 30.0  # seconds before the first line on how far a suite is
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class RunFailed(RuntimeError):
    """A run that did not come to its end; what it reached is in its folder."""


def run(cfg: DictConfig) -> Summary:
    """Run what the config says; return the summary that was written.

    Raises:
        FolderTaken: the folder holds another run.
        RunFailed: an attack or a constructor raised. Folder and MLflow keep what was reached.
        TrackingFailed: MLflow would not take the run; nothing was run.
        NotTaken: all ran, and MLflow did not take it.
    """
    hydra, cfg = HydraConfig.get(), fetched(cfg)
    begun = _begun(cfg, hydra)
    if begun.tracking_uri and not begun.sweep:  # a sweep has tried it
        require_usable(begun.tracking_uri, begun.name, begun.artifacts)
    if cfg.strengths and not begun.sweep:
        log.warning("strengths=true is for sweeps, and this is one run at one strength; add -m")
    folder = Path(hydra.runtime.output_dir)
    with sole(folder, begun.config_hash, force=bool(begun.sweep or cfg.force)) as cleared:
        if cleared:
            log.info(cleared)
        if begun.sweep and not cfg.force and (earlier := done_before(begun, folder)):
            return earlier
        return _measure(cfg, begun, folder, hydra)


def _measure(cfg: DictConfig, begun: Summary, folder: Path, hydra: Any) -> Summary:
    """Run the attacks, and leave in the folder and in MLflow what came of them."""
    found = Gathered(folder, is_suite=begun.attack == SUITE)
    parts: Parts | None = None
    with one_pool(cfg.threads), computing(cfg.device, cfg.precision):
        device = described()
        try:
            with staying():
                parts = build(cfg, begun.attack)
                if (asked := endpoint_of(parts.victim.predict)) is not None:
                    asked.keep_ledger(folder / LEDGER)
                if line := first_line(parts.victim):
                    log.info(line)
                judge = _play(cfg, parts, found, hydra)
                _doubt(cfg, parts, found, judge)
        except Stopped as reason:
            if parts is None and not begun.sweep:
                raise  # nothing was measured
            found.cease(reason)
        except Exception as error:
            if parts is None and not begun.sweep:
                raise  # a mistake, and no measurement: there is nothing to keep
            if parts is None and isinstance(error.__cause__, NotApplicable):
                found.skipped[""] = explain(error)  # as data whose package is not installed
            else:
                found.fail("", error)
        if parts is not None:  # not before: no attack is to find the model in the run's folder
            write_victim(parts.victim, folder)
            try:
                recovered.write(folder, found.recovered)
            except Exception as error:  # the curve is measured, and is kept all the same
                log.warning("%s is not written: %s", recovered.FILE, explain(error))
    _ended(begun, cfg, parts, found, device).write(folder)
    summary = Summary.read(folder)
    if found.rows:
        draw(found.rows, summary, folder)
    if summary.tracking_uri:
        log_run(folder, summary.tracking_uri)
    if found.failed:
        raise RunFailed(found.reason)
    return summary


@contextmanager
def one_pool(threads: int) -> Iterator[None]:
    """Limit the threads of every BLAS and OpenMP pool that a run may use."""
    check_whole("threads", threads, 1)
    import_module("scipy.linalg")  # brings a BLAS of its own, and a run always wants it
    before = {name: os.environ.get(name) for name in POOLS}
    # A limit holds for libraries that are loaded already; these are read by the others
    os.environ.update(dict.fromkeys(POOLS, str(threads)))
    try:
        with threadpool_limits(threads):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begun(cfg: DictConfig, hydra: Any) -> Summary:
    """Tell what is known of a run before it begins."""
    choices, in_sweep = hydra.runtime.choices, hydra.mode == RunMode.MULTIRUN
    given, cwd = as_given(hydra.overrides.task), Path(hydra.runtime.cwd)
    return Summary(
        victim=victim_name(cfg, str(choices["victim"]), given, cwd),
        data=data_name(cfg, str(choices["data"]), given, cwd),
        defense=defense_name(cfg, given),
        attack=attack_name(cfg, str(choices["attack"]), given),
        seed=int(cfg.seed),
        status="",
        config_hash=config_hash(cfg),
        command=str(repeating(cfg, hydra)),
        inputs=inputs_of(cfg),
        knobs=knobs(cfg),
        versions={"python": sys.version.split()[0], **{p: version_of(p) for p in PACKAGES}},
        data_provenance={},
        checkpoints=[],
        plan=plan(),
        kinds={},
        aware={},
        oracles=[],
        flags=[],
        name=cfg.name,
        role=CONFIRMATION if cfg.confirmation else MEASUREMENT,
        sweep=str(Path(hydra.sweep.dir).absolute()) if in_sweep else "",
        tracking_uri=address(cfg.tracking.uri) if cfg.tracking.enabled else None,
        artifacts=cfg.tracking.artifacts,
        report=cfg.report,
        started=time.time(),
    )


def _ended(
    begun: Summary,
    cfg: DictConfig,
    parts: Parts | None,
    found: Gathered,
    device: Mapping[str, str],
) -> Summary:
    """Add what came of it."""
    ended = replace(
        begun,
        status=found.status,
        reason=found.reason,
        winner=found.winner,
        baselines=found.baselines,
        floor=found.floor,
        summaries=found.summaries,
        not_applicable=found.skipped,
        failed=found.failed,
        stopped=found.stopped,
        reached=found.reached,
        flags=[*found.flags, *flags.of_service(found.stopped)],
        repeated=found.repeated,
        harm=found.harm,
        trace=found.trace,
        hardware={**hardware(int(cfg.threads)), **device},
        secret=found.secret,
        curve=digest(found.folder / "curve.csv"),
        command=str(Command.parse(begun.command).keeping(found.secret)),
    )
    if parts is not None:
        whole = found.curves.keys() - found.failed.keys() - found.stopped.keys()
        ended = replace(
            ended,
            plan=plan(parts.victim),
            kinds=flags.kinds(_layers(cfg, parts)),
            aware=flags.aware(parts.attacks, parts.defense, whole),
            oracles=flags.oracles(parts.attacks, found.curves),
            labels_only=flags.labels_only(parts.attacks, found.curves),
            checkpoints=list(parts.checkpoints),
            victim_accuracy=accuracy(parts.victim),
            data_provenance=dict(parts.victim.shares.provenance),
        )
    return replace(ended, seconds=time.time() - begun.started)


def _play(cfg: DictConfig, parts: Parts, found: Gathered, hydra: Any) -> Judge:
    """Run the attacks; show how far they are; return who judged them."""
    found.secret = secret_for(parts.attacks.values(), cfg.isolation, cfg.secret)
    judge = Judge(
        parts.victim,
        stream(hidden(cfg.seed, found.secret), "judge"),
        side_labels=cfg.side_labels,
        subgroup=parts.subgroup,
        transfer=cfg.transfer,
    )
    found.baselines, found.floor = judge.baselines, judge.floor
    each, tells = len(parts.checkpoints), found.is_suite and hydra.mode != RunMode.MULTIRUN
    quiet, told, done = 0.0 if cfg.verbose else QUIET, time.monotonic(), 0
    total = len(parts.attacks) * each
    tqdm.set_lock(RLock())  # of this process: a worker that is killed leaves no semaphore behind
    with tqdm(total=total, unit="checkpoint", disable=_is_hidden(hydra), leave=False) as bar:
        for event in run_attacks(
            parts.victim,
            parts.defense,
            parts.attacks,
            checkpoints=parts.checkpoints,
            seed=cfg.seed,
            price=cfg.price,
            judge=judge,
            isolation=cfg.isolation,
            secret=found.secret,
            limit=cfg.isolation_limit,
        ):
            bar.set_postfix_str(event.attack)
            found.take(event)
            bar.update(_progress(event, each))
            done += _progress(event, each)
            if tells and isinstance(event, Finished) and time.monotonic() >= told + quiet:
                told, quiet = time.monotonic(), 2 * quiet  # a long suite is no page of lines
                with tqdm.external_write_mode():
                    _say_finished(found.rows[-1], f"{done // each} of {len(parts.attacks)}")
    found.close()
    return judge


def _progress(event: Event, checkpoints: int) -> int:
    """Count the checkpoints that an event leaves behind."""
    return 1 if isinstance(event, Point) else checkpoints if isinstance(event, Skipped) else 0


def _doubt(cfg: DictConfig, parts: Parts, found: Gathered, judge: Judge) -> None:
    """Check defense and victim, and the curves for what they cannot be."""
    if not found.rows:
        return
    told = parts.victim.confidences and parts.defense.traits.confidences
    steady = flags.ITSELF not in parts.victim.shares.provenance
    ended = found.failed.keys() | found.stopped.keys()
    layers, whole = _layers(cfg, parts), found.curves.keys() - ended
    found.flags = flags.of_run(
        parts.attacks,
        parts.defense,
        by_attack(found.rows),
        found.hits,
        confidences=told,
        doubled=found.doubled,
        told=found.flags,
        steady=steady,
    )
    found.flags += flags.of_victim(parts.victim)
    found.flags += flags.of_defense(layers, flags.aware(parts.attacks, parts.defense, whole))
    unknown = hidden(cfg.seed, found.secret)
    if (asked := endpoint_of(parts.victim.predict)) is not None and not found.stopped:
        asked.look_again(LATE)
    if found.stopped or isinstance(parts.defense, OwnDefense):  # nobody is there to be asked
        return
    doubts, repeated = selfcheck.of_layers(parts.victim, layers, unknown)
    found.flags += [*doubts, *(varies(parts.victim, judge) if steady else ())]
    found.repeated = dict(repeated)


def _layers(cfg: DictConfig, parts: Parts) -> dict[str, Defense]:
    """Name the layers of the defense as the config does; none without a defense."""
    if isinstance(parts.defense, OwnDefense):
        return {SERVICE: parts.defense}
    built = parts.defense.layers.values() if cfg.defense else ()
    return dict(zip(map(str, cfg.defense), built, strict=bool(built)))


def _is_hidden(hydra: Any) -> bool:
    """Whether a progress bar of this run would be in the way: no terminal, or runs side by side."""
    alone = hydra.mode != RunMode.MULTIRUN or hydra.runtime.choices["hydra/launcher"] == "basic"
    return not (sys.stderr.isatty() and alone)


def _say_finished(last: Row, place: str) -> None:
    """Tell how far a suite is: it takes a while, and a log file has no progress bar."""
    fidelity = f"{100 * last['fidelity_test']:.2f}/{100 * last['fidelity_uniform']:.2f} %"
    took = f"{last['seconds']:.1f} s"
    log.info("%s attacks; %s: %s at %s, %s", place, last["attack"], fidelity, last["queries"], took)

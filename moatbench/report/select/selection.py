"""The runs a report is about: of one kind, each counted once, and named so that they differ."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import by_attack
from moatbench.record.summary import CONFIRMATION
from moatbench.report.select.consistency import (
    MixedSelection,
    require_one_content,
    require_one_input,
    require_one_measurement,
    require_one_plan,
    require_one_version,
)
from moatbench.report.select.records import (
    ROLES,
    Curve,
    Selection,
    Setting,
    Skip,
    part_of,
    varied,
)
from moatbench.tracking.read import Logged

SUITE = "suite"


def select(logged: Sequence[Logged]) -> Selection:
    """Sort the runs of an experiment.

    Raises:
        MixedSelection: there is no finished run, or the runs are of several code versions, ways of
            measuring, data files under one name, price lists or budgets, or one cell has two
            different curves.
    """
    logged = sorted(logged, key=lambda run: (run.started, run.name, run.id))
    finished = [run for run in logged if run.finished or run.not_applicable]
    if not any(run.finished and not _confirms(run) for run in finished):
        raise MixedSelection(
            f"nothing to report: of {len(logged)} runs none finished; run a sweep, or choose "
            "others with experiment= and filter="
        )
    require_one_version(finished)
    require_one_measurement(finished)
    require_one_input(finished)
    names = distinct_names(finished)
    require_one_content(finished, names)
    curves, skips = _curves([run for run in finished if not _confirms(run)], names)
    again, _ = _curves([run for run in finished if _confirms(run)], names)
    require_one_plan([*curves, *again])
    kept, repeated = _without_repeats(curves)
    confirmations, twice = _without_repeats(again)
    runs = list({c.run.id: c.run for c in kept}.values())
    unfinished = [run for run in logged if not (run.finished or run.not_applicable)]
    return Selection(kept, skips, runs, unfinished, [*repeated, *twice], confirmations)


def _confirms(run: Logged) -> bool:
    return run.summary.role == CONFIRMATION


def distinct_names(runs: Sequence[Logged]) -> dict[tuple[str, str, str], str]:
    """Name each run's parts: (run, role) and the tag to a name.

    Runs of one name whose knobs differ get the knobs that do: `rounding (decimals=2)`.
    """
    names: dict[tuple[str, str, str], str] = {}
    for role in ROLES:
        same: dict[str, list[Logged]] = defaultdict(list)
        for run in runs:
            same[part_of(run, role)].append(run)
        for tag, group in same.items():
            knobs = [_knobs(run, role) for run in group]
            differing = [] if (role, tag) == ("attack", SUITE) else varied(knobs)
            for run, values in zip(group, knobs, strict=True):
                names[run.id, role, tag] = _named(tag, values, differing)
    return names


def _named(tag: str, knobs: Mapping[str, Any], differing: Sequence[str]) -> str:
    if not differing:
        return tag
    short = {key: key.rsplit(".", 1)[-1] for key in differing}
    if len(set(short.values())) < len(differing):
        short = {key: key.split(".", 1)[1] for key in differing}
    pairs = (f"{short[key]}={knobs[key]}" for key in differing if key in knobs)
    return f"{tag} ({', '.join(pairs)})"


def _knobs(run: Logged, role: str) -> dict[str, Any]:
    return {k: v for k, v in run.summary.knobs.items() if k.startswith(f"{role}.")}


def _curves(
    runs: Sequence[Logged], names: Mapping[tuple[str, str, str], str]
) -> tuple[list[Curve], list[Skip]]:
    curves, skips = [], []
    for run in runs:
        part = {role: names[run.id, role, part_of(run, role)] for role in ROLES}
        setting = Setting(part["victim"], part["data"])
        suite = run.summary.attack == SUITE
        where = (setting, part["defense"])
        for attack, rows in by_attack(run.rows).items():
            if attack != WORST_CASE:
                name = attack if suite else part["attack"]
                curves.append(Curve(*where, name, _seed(run), rows, run))
        for attack, reason in run.summary.not_applicable.items():
            name = attack if suite and attack else part["attack"]
            skips.append(Skip(*where, name, _seed(run), reason))
    return curves, skips


def _seed(run: Logged) -> str:
    seed, victim_seed = run.summary.seed, run.summary.knobs.get("victim_seed")
    return str(seed) if victim_seed in (None, seed) else f"{victim_seed}:{seed}"


def _without_repeats(curves: Sequence[Curve]) -> tuple[list[Curve], list[Logged]]:
    """Count a curve once: a suite and a single run, or `force=true`, may give it twice.

    Of one run that drew another secret each time, the latest counts.
    """
    kept: dict[tuple[Setting, str, str, str], Curve] = {}
    repeated: dict[str, Logged] = {}
    for curve in curves:
        key = (curve.setting, curve.defense, curve.attack, curve.seed)
        other = kept.setdefault(key, curve)
        if other is curve:
            continue
        if _measured(other) != _measured(curve) and _drew_anew(other.run, curve.run):
            kept[key], curve = curve, other
        elif _measured(other) != _measured(curve):
            where = f"{curve.setting.code}, {curve.defense} against {curve.attack}"
            raise MixedSelection(
                f"{where}, seed {curve.seed}: two "
                f"runs give different curves ({other.run.id} and {curve.run.id}); choose one with "
                f"filter=\"tags.sweep = '{curve.run.tags.get('sweep', '')}'\", or delete the other"
            )
        repeated[curve.run.id] = curve.run
    return list(kept.values()), list(repeated.values())


def _drew_anew(one: Logged, two: Logged) -> bool:
    """Whether both are one run, which is to differ: each drew a secret of its own."""
    secrets = {run.summary.secret for run in (one, two)}
    return one.summary.identity == two.summary.identity and len(secrets - {None}) == 2


def _measured(curve: Curve) -> list[tuple[int, str, str]]:
    """What the same command must repeat, to the digits that no thread count changes."""
    return [
        (row["queries"], f"{row['fidelity_test']:.9f}", f"{row['fidelity_uniform']:.9f}")
        for row in curve.rows
    ]

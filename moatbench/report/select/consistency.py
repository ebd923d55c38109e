"""What may stand in one report: runs of one version, on the same data, under one plan."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from moatbench.record.identity import FREE
from moatbench.report.select.records import ROLES, Curve, Setting, varied
from moatbench.tracking.read import Logged

SHOWN = 5  # examples in a message


class MixedSelection(ValueError):
    """The runs cannot stand in one report; the message says how to choose."""


def require_one_version(runs: Sequence[Logged]) -> None:
    """All runs are of one version of the code."""
    versions = Counter(str(run.summary.versions["moatbench"]) for run in runs)
    if len(versions) > 1:
        counts = ", ".join(f"{v} ({n} runs)" for v, n in versions.most_common())
        first = versions.most_common(1)[0][0]
        raise MixedSelection(
            f"runs of {len(versions)} code versions: {counts}; numbers of one version only can be "
            f"compared: choose one with filter=\"tags.moatbench = '{first}'\", or run all again "
            "with force=true"
        )


def require_one_measurement(runs: Sequence[Logged]) -> None:
    """All runs were measured alike: on as many points, beside as many customers."""
    plans = [asdict(run.summary.plan) for run in runs]
    if differing := varied(plans):
        values = "; ".join(_values(key, plans) for key in differing)
        raise MixedSelection(
            f"runs that were measured in different ways ({values}): run all again with force=true, "
            "or give each way a name= of its own"
        )


def require_one_content(runs: Sequence[Logged], names: Mapping[tuple[str, str, str], str]) -> None:
    """Data of one name are the same data.

    Args:
        runs: the finished ones.
        names: of each run's parts, from `distinct_names`: files of one name differ in their path.
    """
    hashes: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        if digest := run.summary.data_provenance.get("sha256"):
            hashes[names[run.id, "data", run.summary.data]].add(str(digest))
    for data, digests in hashes.items():
        if len(digests) > 1:
            raise MixedSelection(
                f"the data {data} has {len(digests)} contents under one name (sha256 "
                f"{', '.join(sorted(d[:12] for d in digests))}), which are never averaged; choose "
                f"runs of one with filter=\"params.`data.sha256` = '{min(digests)}'\", or run "
                "again with data.name=..."
            )


def require_one_input(runs: Sequence[Logged]) -> None:
    """A file, or somebody else's code, of one name had one content in all runs that read it."""
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for name, digest in run.summary.inputs.items():
            seen[name][digest].append(run.started)
    for name, contents in seen.items():
        if len(contents) < 2:
            continue
        *before, newest = sorted(contents.values(), key=max)
        way = "give the runs of each a name= of their own, or delete the older ones in MLflow"
        if max(map(max, before)) < min(newest):
            way = f"filter='attributes.start_time >= {int(min(newest) * 1000)}' takes the newest"
        raise MixedSelection(
            f"{name} has changed between the runs ({len(contents)} contents of one name, sha256 "
            f"{', '.join(sorted(digest[:12] for digest in contents))}): {way}"
        )


def require_one_plan(curves: Sequence[Curve]) -> None:
    """Within a setting, only parts and seeds may differ: not prices, not budgets."""
    for setting, group in _by_setting(curves).items():
        plans = [
            {k: v for k, v in c.run.summary.knobs.items() if k not in FREE and not _of_a_part(k)}
            for c in group
        ]
        if differing := varied(plans):
            values = "; ".join(_values(key, plans) for key in differing)
            raise MixedSelection(
                f"{setting.code}: runs with different plans ({values}); curves of different "
                "budgets or prices are not compared: choose with filter=, or give each plan a "
                "name= of its own"
            )
        budgets = {tuple(c.run.summary.checkpoints) for c in group}
        if len(budgets) > 1:
            shown = " and ".join(str(list(b)) for b in sorted(budgets)[:SHOWN])
            raise MixedSelection(
                f"{setting.code}: different checkpoints, {shown}; choose with filter="
            )


def _values(key: str, plans: Sequence[Mapping[str, Any]]) -> str:
    return f"{key} = {', '.join(sorted({str(plan.get(key)) for plan in plans}))}"


def _of_a_part(key: str) -> bool:
    return key.partition(".")[0] in ROLES


def _by_setting(curves: Iterable[Curve]) -> dict[Setting, list[Curve]]:
    """Sort curves by victim and data."""
    groups: dict[Setting, list[Curve]] = defaultdict(list)
    for curve in curves:
        groups[curve.setting].append(curve)
    return groups

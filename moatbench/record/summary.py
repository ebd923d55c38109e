"""summary.json: what a reader of a run's folder needs beside its curve."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from moatbench.record import flag
from moatbench.record.flag import Flag
from moatbench.record.marks import WATCHES as WATCHES
from moatbench.record.older.first_version import upgraded
from moatbench.record.older.flags import flags_of
from moatbench.record.whole import write_text

MEASUREMENT, CONFIRMATION = "measurement", "confirmation"  # roles of a run
FINISHED, NOT_APPLICABLE, FAILED = "finished", "not_applicable", "failed"  # its status
STOPPED = "stopped"  # by a service, or by a cap on what it may cost: the curve so far stands
SERVICE = "service"  # the defense of a service that has its own, as its name
FILE = "summary.json"
ADDED = "honest_seconds_added"  # to a query, by the clock
VERSION = 3  # of the file: 1 had neither a number nor a plan, 2 flags without grades

Scores = Mapping[str, float | None]  # by name; None where nothing was measured


class RecordUnreadable(ValueError):
    """A summary lacks what this version needs, or is of a later one; the message says which."""


@dataclass(frozen=True)
class Plan:
    """How much the judge measured, as constants of the code that ran.

    Args:
        uniform_points: uniform valid inputs that surrogates were judged on.
        same_value: two values of a regression count as equal, in shares of their range.
        accounts: of honest customers, beside the attack.
        account_queries: of each, at most.
        shifted_accounts: of customers whose inputs are unlike most.
        clusters: that their inputs are one of.
        least_share: of the rows that such a cluster has.
        customers: that monitors were tried on, on a twin of the deployment.
    """

    uniform_points: int
    same_value: float
    accounts: int
    account_queries: int
    shifted_accounts: int
    clusters: int
    least_share: float
    customers: int


@dataclass(frozen=True)
class Summary:
    """What a run was, how it ended, and what sums its curves up.

    Args:
        victim: its name in conf/, as the next three.
        data: what the victim was trained on.
        defense: what stood before it; a stack's layers with a plus sign between them.
        attack: what attacked it; `suite` is several.
        seed: of every stream of the run.
        status: finished, not_applicable, stopped (by a service, or a cap) or failed.
        config_hash: of all in the config that can change the result.
        command: that repeats this run alone.
        inputs: sha256 of each file that the config names, and of other people's code, by name.
        knobs: the config, flat: `defense.rounding.decimals`.
        versions: of Python, of the packages, and of the code with its commit.
        hardware: that it ran on: cpu, cores, memory, threads, blas, system, and the device and
            precision of networks.
        data_provenance: where the data come from, their sha256, and how many rows repeat others.
        checkpoints: cumulative queries, the last is the budget.
        plan: how much was measured.
        kinds: what each layer of the defense says that it does, some of traits.KINDS.
        aware: attacks that ran to their end, each with the kinds of the defense it is made against.
        oracles: attacks that ran and were shown the victim itself.
        labels_only: attacks that ran and used nothing of an answer but its label.
        flags: what the run says against itself, each with its grade.
        reason: why it failed, was stopped or does not apply; '' for a finished one.
        summaries: scalars of each attack's curve; the last is the one that stands for the run.
        winner: of a suite, the attack with the highest fidelity at the budget.
        baselines: scores of attackers without the API.
        floor: the one of them that a gain is above.
        not_applicable: attacks that do not apply, each with the reason.
        failed: attacks that raised, each with the error; '' is the run itself.
        stopped: attacks that a service ended before their budget, each with what it said.
        reached: queries at which the curve of a stopped run ends; null is at the last checkpoint.
        repeated: what a defense's twin answered to the same question again, by layer; and how many
            confidences of an answer kept their odds (`standing`, of `entries`).
        harm: under each attack, what honest customers lost, by class and subgroup.
        victim_accuracy: on the judge's test rows; null for a regression.
        name: of the experiment in MLflow.
        role: measurement or confirmation.
        sweep: folder of the sweep that it is part of; '' for a single run.
        tracking_uri: of the MLflow store; null for none.
        artifacts: where a new experiment keeps its files; null is beside the store.
        report: folder of the report that the sweep was to write; null for none.
        started: seconds since 1970.
        seconds: that it took.
        trace: of the error that ended it.
        secret: hexadecimal, from which keys and judged points are derived, with the seed; null for
            the seed alone. `secret=` brings the same bits again.
        curve: sha256 of curve.csv; null where there is none, and in earlier records.
        fetched: the run in MLflow that it was fetched from, where it was not run again.
        version: of this file's format.
    """

    victim: str
    data: str
    defense: str
    attack: str
    seed: int
    status: str
    config_hash: str
    command: str
    knobs: Mapping[str, Any]
    versions: Mapping[str, str]
    data_provenance: Mapping[str, Any]
    checkpoints: Sequence[int]
    plan: Plan
    kinds: Mapping[str, Sequence[str]]
    aware: Mapping[str, Sequence[str]]
    oracles: Sequence[str]
    flags: Sequence[Flag]
    reason: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    summaries: Mapping[str, Scores] = field(default_factory=dict)
    winner: str | None = None
    baselines: Mapping[str, Scores] = field(default_factory=dict)
    floor: str | None = None
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    stopped: Mapping[str, str] = field(default_factory=dict)
    reached: int | None = None
    repeated: Mapping[str, Scores] = field(default_factory=dict)
    harm: Mapping[str, Mapping[str, Scores]] = field(default_factory=dict)
    labels_only: Sequence[str] = ()
    victim_accuracy: float | None = None
    name: str = "moatbench"
    role: str = MEASUREMENT
    sweep: str = ""
    tracking_uri: str | None = None
    artifacts: str | None = None
    report: str | None = None
    started: float = 0.0
    seconds: float = 0.0
    trace: str = ""
    secret: str | None = None
    curve: str | None = None
    fetched: str | None = None
    hardware: Mapping[str, str] = field(default_factory=dict)
    version: int = VERSION

    @property
    def title(self) -> str:
        """Name the run for people."""
        return f"{self.defense} / {self.attack} / {self.victim} on {self.data} / s{self.seed}"

    @property
    def marks(self) -> list[Flag]:
        """What makes its numbers less than they seem, in a few words each, the gravest first."""
        return flag.marks(self.flags)

    @property
    def identity(self) -> str:
        """Hash all that the result depends on: config, files, other people's code, and ours."""
        parts = [self.config_hash, dict(self.inputs), self.versions.get("moatbench")]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def headline(self) -> str:
        """Name the curve that stands for it: a suite's worst case, or the one attack's."""
        return next(reversed(list(self.summaries)), "")

    @property
    def finals(self) -> Scores:
        """The scalars of that curve; none where there is no curve."""
        return self.summaries.get(self.headline, {})

    @property
    def floor_scores(self) -> Scores:
        """What an attacker without the API reaches; none where a run does not tell."""
        return self.baselines.get(self.floor or "", {})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON; NaN becomes null, and what was not fetched does not say so."""
        tree = asdict(self) | {"flags": [one._asdict() for one in self.flags]}
        tree["marks"] = [str(mark) for mark in self.marks]
        if self.fetched is None:
            del tree["fetched"]
        return dict(without_nan(tree))

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "Summary":
        """Read one, of this version or those before; keys that it does not know are left out.

        Raises:
            RecordUnreadable: says what is lacking.
        """
        version = tree.get("version", 1) if isinstance(tree, Mapping) else None
        if version not in range(1, VERSION + 1):
            raise RecordUnreadable(f"records are of version {version!r}, not one of 1 to {VERSION}")
        known = _known(cls, upgraded(tree) if version == 1 else tree)
        if not isinstance(known["plan"], Mapping):
            raise RecordUnreadable(f"records have a plan that is none: {known['plan']!r}")
        known |= {"plan": Plan(**_known(Plan, known["plan"]))}
        known["summaries"] = {n: _timed(s) for n, s in known.get("summaries", {}).items()}
        return cls(**known | {"flags": flags_of({**known, "version": version}), "version": VERSION})

    def write(self, folder: Path) -> None:
        """Write summary.json into a run's folder."""
        write_text(folder / FILE, json.dumps(self.to_json(), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Summary":
        """Read summary.json of a run's folder; `from_json` says what may be wrong."""
        return cls.from_text((folder / FILE).read_text(errors="replace"))

    @classmethod
    def from_text(cls, text: str) -> "Summary":
        """Read the text of a summary.json; one that was cut is unreadable as well."""
        try:
            return cls.from_json(json.loads(text))
        except RecordUnreadable:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordUnreadable(f"{FILE} is damaged or was cut: {error}") from error


def _timed(scores: Scores) -> Scores:
    """Take a clock's noise for nothing, in earlier records: no defense answers before none does."""
    added = scores.get(ADDED)
    return {**scores, ADDED: 0.0} if added is not None and added < 0 else scores


def _known(kind: type, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a dataclass takes of a tree; raise RecordUnreadable for what it lacks."""
    wanted = {f.name: f.default is f.default_factory is MISSING for f in fields(kind)}
    if lacking := [name for name, needed in wanted.items() if needed and name not in tree]:
        raise RecordUnreadable(f"records lack {', '.join(lacking)}")
    return {name: tree[name] for name in wanted if name in tree}


def without_nan(value: Any) -> Any:
    """JSON has no NaN; null says as well that nothing was measured."""
    if isinstance(value, dict):
        return {key: without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and value != value else value

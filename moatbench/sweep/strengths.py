"""A sweep in which each defense runs at its own strengths, and the baselines stand beside it.

A grid of Hydra's is a product, so that MAD's epsilon would be asked of rounding too. Here each job
of the grid becomes one for each value in use of its defense's knob. The value is an override like
any other: it stands in the command, in the knobs and in the hash that a run is known by.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from moatbench.record.command import literal

BASELINES = ("none", "label_only")  # what every defense is compared with
POINTS = {*BASELINES, "random_labels"}  # have no strength, and stand as a point


class Published(NamedTuple):
    """The values in use of the knob that is a defense's strength.

    Args:
        knob: its name, below the defense's node.
        values: the weakest or the strongest first, as the knob goes.
        source: where they are from; '' for a range of ours.
    """

    knob: str
    values: tuple[Any, ...]
    source: str = ""


# Other defenses say so themselves, in `strengths`. These do not: an attacker who simulates the
# defense tries all `strengths`, and there is nothing to be gained from guessing at these.
_ALARMS = Published("calibration.false_positives", (0.01, 0.02, 0.05, 0.1))
PUBLISHED = {
    "defenses.bdpl.BDPL": Published(
        "epsilon", (0.01, 0.1, 0.5, 1.0, 2.0, 4.0), "Zheng et al. 2019"
    ),
    "defenses.confidence_threshold.ConfidenceThreshold": Published(
        "threshold", (0.5, 0.7, 0.9, 0.99)
    ),
    "defenses.dawn.DAWN": Published(
        "share", (0.001, 0.002, 0.005, 0.01), "Szyller et al. 2021: .001 to .005"
    ),
    "defenses.edm.EnsembleOfDiverseModels": Published("diversity", (0.0, 0.5, 1.0, 2.0)),
    "defenses.grid.Grid": Published("step", (0.001, 0.01, 0.05, 0.1, 0.2)),
    "defenses.proof_of_work.ProofOfWork": Published(
        "base", (1.0075, 1.05, 1.18), "Dziedzic et al. 2022, by its costs of privacy"
    ),
    "defenses.monitors.dadd.DADD": _ALARMS,
    "defenses.monitors.extraction_warning.ExtractionWarning": _ALARMS,
    "defenses.monitors.hoda.HODA": _ALARMS,
    "defenses.monitors.margin_counter.MarginCounter": Published(
        "tau", (0.3, 0.4, 0.5, 0.6), "Quiring et al. 2018: .3"
    ),
    "defenses.monitors.prada.PRADA": Published(
        "delta", (0.8, 0.85, 0.9, 0.95), "Juuti et al. 2019 and its code"
    ),
    "defenses.monitors.quota.Quota": Published("limit", (100, 250, 500, 1000)),
    "defenses.monitors.seat.SEAT": Published(
        "close", (1, 5, 10, 50), "Zhang et al. 2021: 50, in its code"
    ),
    "defenses.monitors.several_accounts.SeveralAccounts": _ALARMS,
    "defenses.monitors.vardetect.VarDetect": _ALARMS,
}

Job = Sequence[str]  # its overrides


def published(node: Mapping[str, Any]) -> Published | None:
    """Return the strengths of a defense, by its node in the config; None where it has none.

    Its class says so (`strengths`, of which the first knob is the one that is swept), or the table
    above; for a monitor, what watches.
    """
    module, _, name = str(node.get("_target_", "")).rpartition(".")
    if found := _of_class(
        module, name, getattr(import_module(module), name, None) if module else None
    ):
        return found
    watching = node.get("monitor")
    return _watched(published(watching)) if isinstance(watching, Mapping) else None


def published_of(part: Any) -> Published | None:
    """Return the strengths of a defense that is alive, as `published`."""
    kind = type(part)
    if found := _of_class(kind.__module__, kind.__qualname__, kind):
        return found
    watching = getattr(part, "monitor", None)
    return None if watching is None else _watched(published_of(watching))


def _of_class(module: str, name: str, kind: Any) -> Published | None:
    """Look a defense up in the table; else ask its class."""
    if found := PUBLISHED.get(f"{module}.{name}".removeprefix("moatbench.")):
        return found
    declared = getattr(kind, "strengths", {})
    return next((Published(knob, tuple(values)) for knob, values in declared.items()), None)


def _watched(found: Published | None) -> Published | None:
    """Put a monitor's knob below the defense that it watches for."""
    return found and found._replace(knob=f"monitor.{found.knob}")


def spread(jobs: Sequence[Job], defense_of: Callable[[Job], Mapping[str, Any]]) -> list[list[str]]:
    """Replace each job by one for each strength of its defense, the baselines first.

    A job whose knob is given already, and a baseline, stay as they are.

    Args:
        jobs: of a grid.
        defense_of: composes a job; returns its layers' nodes by name.

    Raises:
        ValueError: a defense has no strengths, or a stack has those of several layers.
    """
    bare = dict.fromkeys(tuple(o for o in job if not _of_defense(o)) for job in jobs)
    out = [[f"defense={name}", *job] for name in BASELINES for job in bare]
    known: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        without_seeds = tuple(o for o in job if not _key(o).endswith("seed"))
        if without_seeds not in known:
            known[without_seeds] = _strengths(job, defense_of(job))
        out += [[*job, *([one] if one else [])] for one in known[without_seeds]]
    return out


def refuse_alone(job: Job, layers: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise a ValueError where a single run is asked for all strengths of its defense.

    One that gives the strength itself, as a run of such a sweep that is repeated, may go on.
    """
    if len(several := _strengths(job, layers)) > 1:
        raise ValueError(
            f"strengths=true must stand in a sweep, got a single run of {'+'.join(layers)}, which "
            f"has {len(several)}; add -m, or give one, as in {several[0]}"
        )


def _strengths(job: Job, layers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the overrides that a job is repeated with: '' for as it is; none for a baseline."""
    if not layers or {*layers} <= {*BASELINES}:
        return []  # stands beside already
    found = {name: known for name, node in layers.items() if (known := published(node))}
    keys = {name: f"defense.{name}.{known.knob}" for name, known in found.items()}
    given = {key for o in job if (key := _key(o)).startswith("defense.")}
    if {*layers} <= POINTS or given & {*keys.values()} or (given and not found):
        return [""]
    if len(found) != 1:
        said = "no knob with published values" if not found else f"those of {' and '.join(found)}"
        raise ValueError(
            f"strengths must be those of one knob, and {'+'.join(layers)} has {said}; give the "
            f"values yourself, as in defense.{next(iter(found or layers))}.KNOB=1,2,3, or let its "
            "class declare `strengths`"
        )
    ((name, known),) = found.items()
    add = "" if OmegaConf.select(OmegaConf.create(dict(layers[name])), known.knob) else "++"
    return [f"{add}{keys[name]}={literal(value)}" for value in known.values]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _of_defense(override: str) -> bool:
    key = _key(override)
    return key == "defense" or key.startswith("defense.") or "@defense." in key


def sweep_strengths(config: DictConfig) -> None:
    """Let Hydra's sweeper spread its grid where the config says `strengths: true`.

    Called before each sweep: one without it gets back the sweeper that Hydra brings.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    of_hydra = getattr(BasicSweeper.split_arguments, "__wrapped__", BasicSweeper.split_arguments)

    def defense_of(job: Job) -> Mapping[str, Any]:
        whole = GlobalHydra.instance().config_loader().load_sweep_config(config, list(job))
        layers: Any = OmegaConf.to_container(whole.defense, resolve=True)
        return layers  # type: ignore[no-any-return]

    def split(overrides: Any, most: int | None) -> list[list[list[str]]]:
        (jobs,) = of_hydra(overrides, None)
        return list(BasicSweeper.split_overrides_to_chunks(spread(jobs, defense_of), most))

    split.__wrapped__ = of_hydra  # type: ignore[attr-defined]
    chosen = split if config.strengths else of_hydra
    BasicSweeper.split_arguments = staticmethod(chosen)  # type: ignore[method-assign, assignment]

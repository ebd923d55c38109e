"""Which defense to put in front of a model: a short ladder of them under the attacks that apply.

Data and victim are chosen as for a run of moatbench, and every other override is taken as well.
It says beforehand how much it will ask, what is there already is not run again, and it ends with
one sentence and one table.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from moatbench.cli.options import BadOption, whole
from moatbench.compose.words.overrides import explain_composition

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from moatbench.compose.build import Parts
    from moatbench.sweep.advise import Errand

USAGE = (
    "moatbench-advise data=... victim=... [budget=QUERIES | budget=$DOLLARS] [seeds=3] [KEY=...]"
)
OPTIONS = {
    "budget": "queries that a thief may ask, or what it may spend; else 10 for each column, and 10",
    "seeds": "how many, each with other attacks, keys and judged points",
    "data, victim, ...": "overrides of a run: data=csv data.path=mine.csv data.target=label",
    "tracking.uri": "the MLflow store; else MLFLOW_TRACKING_URI, else runs/mlflow.db here",
}
LEAST = 32  # queries: of fewer, a curve says little
ROWS = "rows asked of the model, equal ones counted each time"
SENT = "rows sent to the service, none of them twice, beside those that a defense asks for itself"
CHECKED = 100  # rows beside those of customers, on which a defense is checked


def main() -> None:
    """Advise the owner of a model."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        _help()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing its own message
    try:
        _advise(arguments)
    except KeyboardInterrupt:
        print("moatbench-advise: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)  # what a shell says of a command that Ctrl-C ended
    except Exception as error:
        sys.exit(f"moatbench-advise: {explain_composition(error, arguments)}")


def _help() -> None:
    width = max(map(len, OPTIONS))
    print(f"usage: {USAGE}\n\n{__doc__}")
    print("\n".join(f"  {name:{width}}  {what}" for name, what in OPTIONS.items()))


def _advise(arguments: Sequence[str]) -> None:
    own, given = read(arguments)
    seeds = whole(own.get("seeds", "3"), "seeds", 1)
    errand = _prepared(own.get("budget"), seeds, given)
    from moatbench.report.write.advice import told
    from moatbench.sweep.advise import cores

    errand.bare()
    left = errand.runs - seeds
    minutes = left * errand.seconds() / cores() / 60
    took = "a minute" if minutes < 1.5 else f"{minutes:.0f} minutes"
    print(f"about {took} for the other {left} on {cores()} cores", flush=True)
    errand.alone()
    errand.stacked()
    print(f"\n{told(errand.answer())}")
    options = [f"experiment={errand.experiment}", f"tracking.uri={errand.uri}", "out=report"]
    print(f"\nall of it: {shlex.join(['moatbench-report', *options])}")


def read(arguments: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Tell this command's own options from the overrides of a run.

    Raises:
        BadOption: a defense or seeds are given, which are chosen here; or what is no key=value.
    """
    own, given = {}, []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals and not argument.startswith("~"):
            raise BadOption(f"{argument!r} is no key=value; usage: {USAGE}")
        if key in ("budget", "seeds"):
            own[key] = value
        elif key in ("defense", "seed", "experiment", "checkpoints", "name", "advise"):
            instead = {"seed": "seeds=", "checkpoints": "budget="}.get(key)
            raise BadOption(
                f"{key}= must be left to the advice, got {argument!r}; "
                + (f"give {instead}" if instead else "moatbench -m takes it")
            )
        else:
            given.append(argument)
    return own, tuple(given)


def queries(budget: str | None, columns: int, price: float) -> int:
    """Read a budget, in queries or in dollars.

    Raises:
        BadOption: says what is allowed.
    """
    if budget is None:
        return max(LEAST, 10 * (columns + 1))
    if not budget.startswith("$"):
        return whole(budget, "budget", LEAST)
    try:
        spent = float(budget.removeprefix("$"))
    except ValueError:
        spent = float("nan")
    if not isfinite(spent) or price <= 0 or spent / price < LEAST:
        raise BadOption(
            f"budget must pay for {LEAST} queries at least, at ${price:g} each, got {budget!r}; "
            "give more, or say price="
        )
    return round(spent / price)


def _prepared(budget: str | None, seeds: int, given: tuple[str, ...]) -> "Errand":
    """Build the model once: what is wrong is told now, and what is right is told too."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    from moatbench.compose.build import SUITE, build
    from moatbench.compose.naming import data_name
    from moatbench.compose.schema import register
    from moatbench.learners.deep.device import computing
    from moatbench.runner.job import one_pool
    from moatbench.space import Numeric
    from moatbench.sweep.advise import Errand
    from moatbench.sweep.ladder import doubling, monitors
    from moatbench.tracking.store import address

    register()
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        composed = compose("config", _overrides(given), return_hydra_config=True)
        choice = str(composed.hydra.runtime.choices["data"])
        cfg = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        with one_pool(cfg.threads), computing(cfg.device, cfg.precision):
            parts = build(cfg, SUITE)
    space, features = parts.victim.space, parts.victim.space.features
    asked = queries(budget, space.d, cfg.price)
    numbers = sum(isinstance(feature, Numeric) for feature in features)
    named = data_name(cfg, choice, given, Path.cwd())
    errand = Errand(
        given,
        experiment=f"advise-{named.replace('/', '-')}-{_identity(cfg, asked)}",
        uri=address(cfg.tracking.uri),
        checkpoints=doubling(asked),
        seeds=tuple(range(seeds)),
        watching=monitors(len(features), numbers, pictures=space.image is not None),
    )
    _say(parts, errand, cfg.price)
    return errand


def _overrides(given: tuple[str, ...]) -> list[str]:
    """Add what a job of the sweep is given: the suite, unless another is given."""
    from hydra import compose

    if any(o.lstrip("+~").startswith("attack") for o in given):
        return ["experiment=advise", *given]
    whole = compose("config", ["experiment=advise"], return_hydra_config=True)
    return [
        "experiment=advise",
        f"attack.suite={whole.hydra.sweeper.params['attack.suite']}",
        *given,
    ]


def _identity(cfg: "DictConfig", budget: int) -> str:
    """Hash what the answer depends on: this model, these files, this budget, and our version."""
    from moatbench.record.identity import code_version, config_hash
    from moatbench.record.inputs import inputs_of

    parts = [config_hash(cfg), str(sorted(inputs_of(cfg).items())), code_version(), str(budget)]
    return sha256("\n".join(parts).encode()).hexdigest()[:8]


def _say(parts: "Parts", errand: "Errand", price: float) -> None:
    """Say what the model is worth, and what the measurement will ask of it."""
    from moatbench.display.answer import filled
    from moatbench.judge.plan import plan
    from moatbench.runner.card import accuracy, constant_accuracy, first_line

    victim, how = parts.victim, plan(parts.victim)
    if own := first_line(victim):
        print(filled(own))
    elif (right := accuracy(victim)) is not None:
        constant = f"{100 * constant_accuracy(victim):.1f} %"
        print(f"victim: {100 * right:.1f} % right; the best constant answer has {constant}")
    budget, attacks = errand.checkpoints[-1], len(parts.attacks)
    customers = (how.accounts + how.shifted_accounts) * how.account_queries
    judged = len(victim.shares.x_test) + 2 * how.uniform_points
    rows, what = errand.runs * (attacks * (budget + customers) + judged), ROWS
    if victim.judged is not None:  # a service, which is asked no row twice
        rows, what = errand.runs * (attacks * budget + CHECKED) + victim.judged, SENT
    paid = f" (${budget * price:,.2f})" if price else ""
    asked = f"a thief may ask {budget:,} queries{paid}; {errand.runs} runs of up to "
    print(filled(f"{asked}{attacks} attacks: about {rows:,} {what}"))
    print("first the bare API, which tells how long the rest takes", flush=True)

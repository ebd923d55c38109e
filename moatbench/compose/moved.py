"""Where names of earlier versions are now: in victims on disk, configs and other people's code."""

import re

_UNDER_THEIR_NAMES = {
    ("moatbench", "moatbench.cli"): "ui",
    ("moatbench", "moatbench.compose"): "archive build cache errors schema",
    ("moatbench", "moatbench.display"): "figure table",
    ("moatbench", "moatbench.judge.customers"): "caught honest quality shift",
    ("moatbench.judge", "moatbench.judge.customers"): "caught groups honest quality shift streams",
    ("moatbench", "moatbench.record"): "curve",
    ("moatbench", "moatbench.runner"): "extract suite",
    ("moatbench", "moatbench.runner.checks"): "flags selfcheck",
    ("moatbench.runner", "moatbench.runner.checks"): (
        "doubts flags impartial neighbours selfcheck twin"
    ),
    ("moatbench", "moatbench.strategies"): "accounts shadow simulation view window",
    ("moatbench", "moatbench.sweep"): "confirm",
    ("moatbench", "moatbench.tracking"): "views",
    ("moatbench.defenses", "moatbench.defenses.monitors"): (
        "extraction_warning hoda margin_counter prada quota seat vardetect"
    ),
    ("moatbench.numerics", "moatbench.learners"): "ridge_path",
    ("moatbench.numerics", "moatbench.models"): (
        "embedding forest forward kernel_logistic kernels linear network one_vs_rest perceptron "
        "private_descent tree"
    ),
    ("moatbench.numerics", "moatbench.search"): "bisection borders boundary box_search boxes",
    ("moatbench.numerics", "moatbench.solvers"): (
        "candidates edges grids kernel_reconstruction log_intervals network_solver "
        "noise_likelihood noisy pooled_odds reconstruction rounded screening through withheld"
    ),
    ("moatbench.numerics", "moatbench.strategies"): "recovering retraining",
    ("moatbench.report", "moatbench.report.measure"): (
        "baselines bootstrap comparisons leaderboard multipliers statistics worst"
    ),
    ("moatbench.report", "moatbench.report.select"): "consistency records selection",
    ("moatbench.report", "moatbench.report.draw"): "chart_data figures heat_map style",
    ("moatbench.report", "moatbench.report.write"): (
        "attack_tables board_tables contents methods numerals output page tables"
    ),
}
_UNDER_OTHER_NAMES = {
    "moatbench.api.Answers": "moatbench.client.Answers",
    "moatbench.api.BudgetExceeded": "moatbench.client.BudgetExceeded",
    "moatbench.api.Card": "moatbench.client.Card",
    "moatbench.api.InvalidQuery": "moatbench.client.InvalidQuery",
    "moatbench.api.Trail": "moatbench.judge.trail.Trail",
    "moatbench.api.checked": "moatbench.api.valid_checkpoints",
    "moatbench.attack.Purchases": "moatbench.learners.purchases.Purchases",
    "moatbench.client.Purchases": "moatbench.learners.purchases.Purchases",
    "moatbench.attack.Surrogate": "moatbench.client.Surrogate",
    "moatbench.attack.Worn": "moatbench.strategies.wrapper.Wrapper",
    "moatbench.attack.ignorant": "moatbench.learners.published.ignorant",
    "moatbench.learners.learner.Fit": "moatbench.learners.fit.Fit",
    "moatbench.learners.learner.ignorant": "moatbench.learners.published.ignorant",
    "moatbench.learners.learner.learner_for": "moatbench.learners.published.learner_for",
    "moatbench.baselines": "moatbench.judge.floor",
    "moatbench.caught.Trail": "moatbench.judge.trail.Trail",
    "moatbench.caught.Watch": "moatbench.judge.customers.caught.Verdict",
    "moatbench.defense.NoiseModel": "moatbench.traits.NoiseModel",
    "moatbench.defense.Stack": "moatbench.stack.Stack",
    "moatbench.defense.order_problems": "moatbench.compose.build.order_problems",
    "moatbench.detection": "moatbench.judge.customers.streams",
    "moatbench.inversions": "moatbench.runner.checks.doubts",
    "moatbench.metrics": "moatbench.judge.judge",
    "moatbench.needs": "moatbench.victim",
    "moatbench.needs.NeedUnmet": "moatbench.victim.NotApplicable",
    "moatbench.numerics.answers": "moatbench.solvers.intervals",
    "moatbench.numerics.binning": "moatbench.search.feature_bins",
    "moatbench.numerics.coordinates": "moatbench.space",
    "moatbench.numerics.design": "moatbench.search.doubt",
    "moatbench.numerics.inversion": "moatbench.search.ascent",
    "moatbench.numerics.learners": "moatbench.learners.learner",
    "moatbench.numerics.learners.encode": "moatbench.space.InputSpace.encode",
    "moatbench.numerics.recovery": "moatbench.learners.restoring",
    "moatbench.numerics.restorer": "moatbench.learners.ddae",
    "moatbench.numerics.snapping": "moatbench.space",
    "moatbench.numerics.tree_learner": "moatbench.learners.grown_tree",
    "moatbench.ownership": "moatbench.judge.watermark",
    "moatbench.report.__main__": "moatbench.cli.report",
    "moatbench.report.main": "moatbench.report.write.report",
    "moatbench.report.monitors": "moatbench.report.measure.alarms",
    "moatbench.report.store": "moatbench.tracking.read",
    "moatbench.run": "moatbench.runner.job",
    "moatbench.sweep.Watched": "moatbench.sweep.callback.Watched",
    "moatbench.track": "moatbench.tracking.log",
    "moatbench.victims.own.skops_model": "moatbench.victims.own.model_file",
    "moatbench.victims.services.Extraction": "moatbench.victims.services.Indicators",
    "moatbench.randomness.AccountStreams": "moatbench.numerics.keyed.AccountStreams",
    "moatbench.randomness.keyed_uniform": "moatbench.numerics.keyed.keyed_uniform",
    "moatbench.defense.weakened": "moatbench.strategies.simulation.with_knobs",
    "moatbench.needs.outputs": "moatbench.victim.Victim.require_outputs",
    "moatbench.needs.probabilities": "moatbench.victim.Victim.require_probabilities",
    "moatbench.numerics.calibration.check_count": "moatbench.knobs.check_whole",
    "moatbench.numerics.coordinates.coordinates": "moatbench.space.InputSpace.encode",
    "moatbench.numerics.snapping.numeric_columns": "moatbench.space.InputSpace.numeric",
    "moatbench.numerics.snapping.snapped": "moatbench.space.InputSpace.snap",
}
MOVED = {
    f"{old}.{name}": f"{new}.{name}"
    for (old, new), names in _UNDER_THEIR_NAMES.items()
    for name in names.split()
} | _UNDER_OTHER_NAMES

_NAMED = re.compile(
    r"Error (?:locating target|loading) '(?P<target>[\w.]+)'"
    r"|cannot import name '(?P<name>\w+)' from '(?P<of>[\w.]+)'"
    r"|No module named '(?P<module>[\w.]+)'"
)


def new_place(name: str) -> str | None:
    """Return the dotted name that this one has now; None where it has not moved."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        if new := MOVED.get(".".join(parts[:end])):
            return ".".join([new, *parts[end:]])
    return None


def moved(message: str) -> str:
    """Say where a name has gone that an error of an import complains about; '' where none has."""
    for found in _NAMED.finditer(message):
        old = found["target"] or found["module"] or f"{found['of']}.{found['name']}"
        if new := new_place(old):
            return f"{old} has moved; import {new}, or name it as _target_"
    return ""

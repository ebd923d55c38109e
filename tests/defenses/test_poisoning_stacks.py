"""Defenses that poison, one upon another and as the response to an alarm."""

import numpy as np
import pytest

from moatbench.api import Deployment
from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.compose.build import order_problems
from moatbench.defense import Defense, evidence_of
from moatbench.defenses.dawn import DAWN
from moatbench.defenses.edm import EnsembleOfDiverseModels
from moatbench.defenses.grad2 import GradientRedirection
from moatbench.defenses.mad import MAD
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.quota import Quota
from moatbench.defenses.random_labels import RandomLabels
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.shuffle import Shuffle
from moatbench.defenses.top_k import TopK
from moatbench.stack import Stack
from moatbench.testing import check_defense, check_run
from moatbench.victim import Victim

EDM = EnsembleOfDiverseModels(3, 8, 1.0, 20)
GRAD2 = GradientRedirection(0.5, True, "signs", 8, 20)
THIEF = UniformRetraining("confidences", "softmax", "valid")
STACKS = {
    "quota, edm, dawn, grad2, top-k": {
        "quota": QueryMonitoring(Quota(60), Shuffle(1e-6)),
        "edm": EDM,
        "dawn": DAWN(0.2, 0.05),
        "grad2": GRAD2,
        "top": TopK(1, False),
    },
    "mad, dawn, rounding": {
        "mad": MAD(1.0, True),
        "dawn": DAWN(0.2, 0.05),
        "round": Rounding(1),
    },
    "grad2, then random labels for those in alarm": {
        "grad2": GRAD2,
        "quota": QueryMonitoring(Quota(60), RandomLabels(1e-6)),
    },
    "edm for those in alarm": {"quota": QueryMonitoring(Quota(60), EDM)},
    "grad2 for those in alarm": {"quota": QueryMonitoring(Quota(60), GRAD2)},
}


@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS)
def test_the_contract_holds(toy: Victim, layers: dict[str, Defense]) -> None:
    assert check_defense(toy, Stack(layers)) == ""


@pytest.mark.parametrize("layers", STACKS.values(), ids=STACKS)
def test_a_run_is_whole_and_repeatable(toy: Victim, layers: dict[str, Defense]) -> None:
    assert check_run(toy, Stack(layers), THIEF, (20, 60)) == ""


def test_the_usual_order_is_no_reason_to_warn() -> None:
    assert order_problems(STACKS["quota, edm, dawn, grad2, top-k"]) == []
    assert len(order_problems({"round": Rounding(1), "dawn": DAWN(0.2, 0.05)})) == 1


def test_a_mark_of_a_label_that_a_guard_keeps_reaches_the_client(toy: Victim) -> None:
    """A later layer that preserves labels preserves the watermark as well."""
    defense = Stack({"dawn": DAWN(0.2, 0.05), "grad2": GRAD2, "top": TopK(1, False)})
    deployment = Deployment(toy, defense, np.random.default_rng(0))
    x = toy.space.sample(300, np.random.default_rng(1))
    told, marks = deployment.answer(x, "thief"), evidence_of(defense).marks
    assert marks is not None
    place = {row.tobytes(): i for i, row in enumerate(x)}
    heard = [int(told.labels[place[row.tobytes()]]) for row in marks.x]
    assert heard == marks.labels.tolist()
    assert len(heard) > 30

"""DCP: a reverse sigmoid behind a gate."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from shop import outputs_told

from moatbench.defenses.dcp import DCP
from moatbench.victim import NotApplicable, Victim

GOLDEN = np.array([[0.9, 0.06, 0.04]])


@pytest.mark.parametrize(("clamp", "first"), [(True, 0.785), (False, 0.774)])
def test_golden_values_of_the_released_code_and_of_the_formula(clamp: bool, first: float) -> None:
    """Shared guide, MONITORS.md: .785 with the released clamp of the odds at 1, .774 without."""
    told = outputs_told(DCP(1.0, 0.1, 1000.0, clamp), GOLDEN)
    assert told[0, 0] == pytest.approx(first, abs=5e-4)
    others = GOLDEN[0, 1:]
    raised = others - (expit(0.1 * logit(others)) - 0.5)
    assert told[0, 1] / told[0, 2] == pytest.approx(raised[0] / raised[1])


def test_the_gate_is_half_at_beta_and_sure_answers_are_the_truth() -> None:
    dcp = DCP(0.5, 0.1, 1000.0, True)
    assert dcp.gate(np.array([[0.5, 0.5], [0.9, 0.1], [0.4, 0.6]])) == pytest.approx(
        [0.5, 0.0, 0.0], abs=1e-9
    )
    np.testing.assert_allclose(outputs_told(dcp, GOLDEN), GOLDEN, atol=1e-12)


def test_what_is_told_is_a_distribution_and_its_top_class_the_label(toy: Victim) -> None:
    dcp, x = DCP(1.5, 0.1, 1000.0, False), toy.shares.x_test
    told = dcp.respond(x, toy.predict(x), "alice")
    assert told.outputs is not None
    np.testing.assert_allclose(told.outputs.sum(axis=1), 1)
    assert (told.outputs >= 0).all()
    assert (told.labels == told.outputs.argmax(axis=1)).all()


def test_it_needs_whole_distributions(toy: Victim) -> None:
    with pytest.raises(NotApplicable, match="needs whole distributions"):
        DCP(1.0, 0.1, 1000.0, True).deploy(replace(toy, full=False), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ((-1.0, 0.1, 1.0, True), "beta must be a number of at least 0"),
        ((1.0, -0.1, 1.0, True), "gamma must be a number of at least 0"),
        ((1.0, 0.1, 0.0, True), "nu must be a number above 0"),
        ((1.0, 0.1, 1.0, 1), "clamp must be true or false"),
    ],
)
def test_a_bad_knob_is_told(knobs: tuple[float, float, float, bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DCP(*knobs)

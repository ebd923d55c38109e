"""What a defense says of itself, and how it adds up."""

from typing import ClassVar

import numpy as np
import pytest

from moatbench.attack import Attack
from moatbench.attacks.adaptive_retraining import AdaptiveRetraining
from moatbench.attacks.top1 import Top1
from moatbench.compose.words.old_forms import refuse_old_form
from moatbench.defense import Defense, evidence_of
from moatbench.defenses.dawn import DAWN
from moatbench.defenses.grid import Grid
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.modelguard_s import ModelGuardS
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.quota import Quota
from moatbench.defenses.noise import Noise
from moatbench.defenses.refuse_partial import RefusePartial
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.shuffle import Shuffle
from moatbench.record.marks import CONTROL
from moatbench.record.summary import WATCHES
from moatbench.runner.extract import Extraction
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.traits import KINDS, NOTHING, STAGES, AnswerGrid, NoiseModel, Traits, together
from moatbench.victim import Victim

FRESH = Noise("gaussian", 0.1, "fresh", 1e-6)


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"traits: kinds must be among .*did you mean quantises"):
        Traits({"quantizes"})
    with pytest.raises(ValueError, match="must be a set of words, got 'noisy'"):
        Traits("noisy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="memory must be one of none, counts, rows, got 'all'"):
        Traits({"noisy"}, memory="all")


def test_every_kind_has_a_stage_or_none_and_the_records_words_are_kinds() -> None:
    assert {kind.stage for kind in KINDS.values()} == {*STAGES, ""}
    assert {CONTROL, WATCHES} <= KINDS.keys()


def test_no_defense_says_nothing_and_whoever_says_nothing_may_do_anything() -> None:
    class Mine(Defense):
        """A stranger's."""

    assert Defense().traits == NOTHING == together([])
    assert not NOTHING.stages
    assert Mine().traits.kinds == {"other"}
    assert Mine().traits.stages == {"perturb"}


def test_a_stack_is_all_that_its_layers_are() -> None:
    stack = Stack(
        {
            "prada": QueryMonitoring(Quota(9), Defense()),
            "grid": Grid(0.1),
            "guard": ModelGuardS(1.0),
            "one": Rounding(3),
            "two": Rounding(2),
            "labels": LabelOnly(),
        }
    )
    said = stack.traits
    assert said.kinds == {
        *("watches", "remembers", "moves_inputs", "perturbs", "quantises", "withholds")
    }
    assert (said.keeps_labels, said.confidences, said.partial, said.shared) == (
        *(False, False, True, True),
    )
    assert (said.answer_grid, said.input_grid, said.memory) == (
        *(AnswerGrid("decimals", 2), 0.1, "rows"),
    )
    assert said.stages == {"watch", "perturb", "minimise"}


def test_of_several_noises_the_law_is_not_known() -> None:
    keyed = Shuffle(1e-6)
    assert Stack({"one": FRESH, "two": Rounding(1)}).traits.noise == FRESH.traits.noise
    mixed = Stack({"one": FRESH, "two": keyed}).traits.noise
    assert mixed is not None
    assert (mixed.mode, mixed.distribution) == ("fresh", "other")
    both = Stack({"one": keyed, "two": keyed, "three": keyed}).traits.noise
    assert both is not None
    assert both.mode == "keyed"


def test_a_monitor_does_what_its_response_does_to_some_and_documents_what_all_get() -> None:
    def said(response: Defense) -> Traits:
        traits: Traits = QueryMonitoring(Quota(9), response).traits
        return traits

    assert said(Defense()) == Traits({"watches", "remembers"}, memory="counts")
    assert said(Grid(0.1)).input_grid == 0.1
    assert said(FRESH).noise == FRESH.traits.noise
    assert not said(FRESH).keeps_labels
    assert said(LabelOnly()).confidences
    assert said(LabelOnly()).kinds == {"watches", "remembers", "withholds"}
    assert said(RefusePartial()).partial
    assert said(Rounding(2)).answer_grid is None
    assert said(Rounding(2)).stage == "watch"


def test_evidence_is_gathered_from_all_parts() -> None:
    watching = QueryMonitoring(Quota(9), DAWN(0.1, 0.01))
    stack = Stack({"prada": watching, "round": Rounding(2)})
    assert [type(part) for part in stack.parts()] == [QueryMonitoring, DAWN, Rounding]
    marks = evidence_of(stack).marks
    assert marks is not None
    assert len(marks.labels) == 0
    assert evidence_of(Rounding(2)) == ({}, None)


# What was written before


def test_a_defense_in_the_old_form_is_shown_the_new_one(toy: Victim) -> None:
    class Old(Defense):
        label_preserving: ClassVar[bool] = False

    class Older(Defense):
        @property
        def noise(self) -> NoiseModel:
            return NoiseModel("keyed")

    class WithKnob(Defense):
        """Its knob has the name of what was once said."""

        shared: bool = True

    inner = AdaptiveRetraining("labels", "softmax", "cube", 0.25, 0.05, 0.05)
    with pytest.raises(TypeError, match=r"Old.label_preserving is how .*keeps_labels=False"):
        Extraction(toy, Stack({"round": Rounding(2), "old": Old()}), inner, [10])
    with pytest.raises(TypeError, match=r"Older.noise is how .*noise=NoiseModel"):
        check_defense(toy, Older())

    class Wordy(Defense):
        traits = {"perturbs"}  # type: ignore[assignment]  # noqa: RUF012

    with pytest.raises(TypeError, match=r"Wordy.traits must be a Traits, got \{'perturbs'\}"):
        refuse_old_form(Wordy())
    refuse_old_form(WithKnob())
    assert WithKnob().traits.kinds == {"other"}


@pytest.mark.parametrize(
    ("name", "member", "told"),
    [
        (
            "run",
            lambda self, api, pool, rng: iter(()),
            r"write run\(self, target, rng\), with",
        ),
        ("unmet", lambda self, card, pool: "", r"write unmet\(self, target\), with target.api"),
        ("informed", lambda self, defense, victim: self, r"use target.known in run"),
        ("aware", frozenset({"rounding"}), r'use against = frozenset\({"quantises"}\)'),
    ],
)
def test_an_attack_in_the_old_form_is_shown_the_new_one(
    name: str, member: object, told: str
) -> None:
    methods = {"run": lambda self, target, rng: iter(()), name: member}
    old: Attack = type("Old", (Attack,), methods)()
    with pytest.raises(TypeError, match=told):
        refuse_old_form(old)
    with pytest.raises(TypeError, match=told):
        refuse_old_form(Top1(old))


def test_an_attack_against_no_kind_that_there_is_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"Old.against must be among quantises"):
        type("Old", (Attack,), {"against": frozenset({"rounding"})})


def test_what_runs_another_attack_names_it() -> None:
    inner = AdaptiveRetraining("labels", "softmax", "cube", 0.25, 0.05, 0.05)
    assert Top1(inner).inner is inner
    assert inner.inner is None
    assert inner.labels_only
    assert np.all([kind in KINDS for kind in inner.against | Top1(inner).against])

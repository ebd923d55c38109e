"""What a defense lacks is a reason why it does not apply, and no failure, whoever wrote it."""

from dataclasses import replace

import numpy as np
from shop import defense_of

from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.defense import Defense
from moatbench.runner.suite import Event, Failed, Skipped, run_attacks
from moatbench.types import Generator
from moatbench.victim import NotApplicable, Victim


class Lacking(Defense):
    """A stranger's, which says what it lacks as the docstring of `deploy` tells."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        raise NotApplicable("needs a thousand classes")


class Broken(Defense):
    """A stranger's with a mistake: a ValueError of somebody else's is none of its reasons."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        np.zeros(2).reshape(3)


def events(victim: Victim, defense: Defense) -> list[Event]:
    attack = UniformRetraining("confidences", "published", "valid")
    return list(run_attacks(victim, defense, {"a": attack}, checkpoints=(5,), seed=0))


def test_a_strangers_reason_is_no_failure_and_its_mistake_is_one(toy: Victim) -> None:
    assert events(toy, Lacking()) == [Skipped("a", "needs a thousand classes")]
    (failed,) = events(toy, Broken())
    assert isinstance(failed, Failed)
    assert "reshape" in str(failed.error)


def test_a_model_without_training_stages_is_none_for_hoda(toy: Victim) -> None:
    unknown = replace(toy, family="decision_tree")
    (skipped,) = events(unknown, defense_of("hoda"))
    assert isinstance(skipped, Skipped)
    assert skipped.reason.startswith("hoda needs a victim that is trained in stages")

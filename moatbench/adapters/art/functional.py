"""ART's FunctionallyEquivalentExtraction as an attack that stops at a budget."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from moatbench.adapters.art.ledger import Ledger, Spent, black_box
from moatbench.adapters.art.toolbox import own_draws, require_art
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Surrogate
from moatbench.knobs import check_choice, check_number
from moatbench.learners.published import ignorant
from moatbench.models.forward import softmax
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.types import Array, Generator

KNOBS = (
    *("delta_0", "fraction_true", "rel_diff_slope", "rel_diff_value", "delta_init_value"),
    *("delta_value_max", "d2_min", "d_step", "delta_sign", "unit_vector_scale", "ftol"),
)
FAR = 3.0  # of a normal draw
FLOOR = 1e-300  # a confidence of zero has no logarithm


@dataclass(frozen=True)
class ArtFunctionallyEquivalent(Attack):
    """Search the kinks of a network of one hidden layer of ReLU along a line, then solve.

    ART searches plus and minus the square of the units, with normal steps in every column, and asks
    until it is done, or for ever. Here it is asked with the victim's true number of units and in
    double precision, behind log-probabilities less their mean, which are linear between the kinks;
    its line is shrunk to the API's bounds, and what still leaves them is moved to them. Where the
    budget ends first, nothing was learnt: it yields the shares of the labels.

    Args:
        reach: of the line's ends, as a share of half of each feature's range.
        extract: knobs of ART's method of that name: delta_0, rel_diff_slope, unit_vector_scale, ...

    Source: Jagielski et al. 2020, arXiv:1909.01838, as ART 1.20.1 has it.
    """

    reach: float
    extract: Mapping[str, Any] = field(default_factory=dict)

    needs: ClassVar[Needs] = Needs(
        confidences=True, families=frozenset({"mlp"}), numeric=True, pool=True
    )

    def __post_init__(self) -> None:
        check_number("art: reach", self.reach, 0, 1, above=True)
        for knob in self.extract:
            check_choice("art: extract", knob, KNOBS)
        require_art("the attack FunctionallyEquivalentExtraction")

    def unmet(self, target: Target) -> str:
        """Say why it does not apply: it knows one activation."""
        activation = target.api.card.architecture.get("activation")
        if super().unmet(target) == "" and activation != "relu":
            return f"needs hidden units of ReLU, and the victim's are {activation}"
        return super().unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Run ART's search from its start for each checkpoint, each time with the same draws."""
        api, seed = target.api, int(rng.integers(2**31))
        ledger = Ledger(api, labels=False)
        for checkpoint in api.checkpoints:
            ledger.restart(checkpoint)
            found, problem = self._extracted(target, ledger, seed)
            ledger.spend(api.card.space.sample(checkpoint - api.queries, rng))
            if found is None:
                yield replace(ignorant(api.card, ledger.labels), note=problem)
            else:
                yield found

    def _extracted(self, target: Target, ledger: Ledger, seed: int) -> tuple[Surrogate | None, str]:
        """Return what ART extracts, or None and why it did not."""
        from art.attacks.extraction import FunctionallyEquivalentExtraction

        card = target.api.card
        units = int(card.architecture["hidden"])
        reach = self.reach / (FAR * (units**2 + 1))

        def ask(x: Array) -> Array:
            if not np.isfinite(x).all():
                raise ValueError("it asked a NaN")
            told = np.log(np.maximum(ledger.ask(outward(card.space, x, reach)), FLOOR))
            return np.asarray(told - told.mean(axis=1, keepdims=True))

        box = black_box(ask, (card.space.d,), len(card.classes))
        with own_draws(seed), np.errstate(all="ignore"):
            attack = FunctionallyEquivalentExtraction(box, units)
            try:
                extracted = attack.extract(inward(card.space, target.pool, reach), **self.extract)
            except Spent:
                found = len(attack.critical_points)
                return None, f"ART found {found} kinks of {units} within the budget"
            except Exception as error:  # an assertion of its own, mostly
                return None, f"ART broke: {error}"

        def predict(x: Array) -> Reply:
            scores = np.nan_to_num(extracted._predict_fn(inward(card.space, x, reach)))
            return from_outputs(softmax(scores))

        return Surrogate(predict), ""


def outward(space: InputSpace, x: Array, reach: float) -> Array:
    """(n, d) rows of the API's, of ART's."""
    middle, half = (space.low + space.high) / 2, (space.high - space.low) / 2
    return np.clip(middle + half * np.clip(reach * x, -1, 1), space.low, space.high)


def inward(space: InputSpace, x: Array, reach: float) -> Array:
    """(n, d) rows of ART's, of the API's."""
    middle, half = (space.low + space.high) / 2, (space.high - space.low) / 2
    return np.asarray((x - middle) / np.where(half > 0, half, 1) / reach)

"""Turn perturbed answers back into what they were, and run another attack on those.

A perturbation moves some confidences by amounts that its knobs tell, and leaves the odds of the
others as they were. So an answer has few origins, often one.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Known, Target
from moatbench.client import Answers, Surrogate
from moatbench.defense import Defense
from moatbench.inverses.by_model import Rule
from moatbench.inverses.hypotheses import known_rules
from moatbench.inverses.layers import inverse_of, without_inverse
from moatbench.knobs import check_choice, check_whole
from moatbench.learners.purchases import Purchases
from moatbench.reply import Predict
from moatbench.strategies.believing import best_of, held_out, supported
from moatbench.strategies.channel import unless_moved
from moatbench.strategies.restored import Replayed, Restored
from moatbench.strategies.simulation import variants
from moatbench.strategies.wrapper import Wrapper
from moatbench.types import Generator

KNOWLEDGE = ("exact", "family", "none")
GAINING = 0.9  # of a round's gap between answers and surrogate, that the next one may leave
MOSTLY = 0.9  # of the answers; where so many have one origin, they are believed
FEW = 40  # answers with one origin, that say nothing of the others
CLEARLY = 0.5  # times as far from certain answers, at most
BOUNDS = 0.5  # of the answers with points for origins; where fewer have, labels are asked too
SETTLED = 1e-12  # answers that move by less between rounds stay


@dataclass(frozen=True)
class Inversion(Wrapper):
    """Run another attack on answers that were put through the inverse of the defense.

    Where an answer has several origins, or bounds alone, what is nearest to the other attack's
    surrogate is chosen; then the other attack fits again, to all that was bought, as long as the
    two come nearer to each other. Until there is a surrogate, the label alone is passed on of such
    answers; before softmax regression the first surrogate is what most entries of all answers agree
    on. Of an answer that no true one leads to, the label alone is passed on for good. Where most
    answers have several origins and no exact solution is found, held-out purchases say whether the
    answers as told, or labels alone, serve better.

    Args:
        attack: the other one.
        knowledge: of the defense: `exact` (its knobs), `family` (the knobs are those in use by
            which most answers, and fewest mixes of answers, have an origin; of a rule that the true
            answer alone decides, and of two or three classes, those with which one model explains
            the answers) or `none` (it is looked for in the same way among all parts that say how
            they are published).
        rounds: of choosing and fitting again at a checkpoint, at most.

    Source: ours.
    """

    attack: Attack
    knowledge: str
    rounds: int

    def __post_init__(self) -> None:
        check_choice("inversion: knowledge", self.knowledge, KNOWLEDGE)
        check_whole("inversion: rounds", self.rounds, 0, hint="; 0 is to choose as answers come")

    @property
    def against(self) -> frozenset[str]:  # type: ignore[override]
        """Rules that move confidences, steps and gaps behind them, and what the other withstands.

        What is rounded or left out behind a rule comes as bounds.
        """
        return self.attack.against | {"perturbs", "relabels", "quantises", "truncates"}

    def unmet(self, target: Target) -> str:
        """Say also where there is nothing to invert, or no inverse."""
        card, known = target.api.card, target.known.defense
        if not card.confidences:
            return "needs confidences, and the API answers labels only"
        if not card.full:
            return "needs whole distributions, and the victim tells of some classes only"
        if known is not None and "perturb" not in known.traits.stages:
            return "there is nothing to invert: no defense perturbs the confidences"
        if known is not None and self.knowledge != "none" and (names := without_inverse(known)):
            return (
                f"needs the inverse of each layer, and none is known of {', '.join(names)}; give "
                "it one (docs/architecture.md), or choose robust_equations"
            )
        return self.attack.unmet(_before(target, target.api))

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Let the other attack ask; at each checkpoint, settle what is open and fit again."""
        asking, guessing, judging = rng.spawn(3)
        keeps_labels = target.known.keeps_labels
        tried = self._tried(target, guessing)
        rules = _rules(tried, len(target.api.card.classes))
        inverses, open_ = rules, len(tried) > 1
        if open_:
            inverses = {name: rule for name, rule in rules.items() if rule.tell is None}
        view = Restored(target.api, inverses, rules if open_ else {}, keeps_labels)
        for live in self.attack.run(_before(target, view), deepcopy(asking)):
            view.guess = live.predict
            last = live
            view.guess_first(deepcopy(judging))
            if not keeps_labels and (first := self._by_certain(target, view, asking)):
                view.guess = first.predict
            if not self.attack.labels_only:
                for last in self._again(target, view, asking):
                    view.guess = last.predict
                last = _nearest(live, last, view)
            if last.parameters and not view.determined:
                last = _only_chosen(last, view)
            if not (last.parameters or self.attack.labels_only):
                last = self._believed(target, view, asking, last, keeps_labels) or last
                if self.knowledge != "none" and view.origins.pointed.mean() < BOUNDS:
                    bought = Purchases(target.api.card)
                    bought.add(view.told)
                    last = unless_moved(last, target, bought, deepcopy(judging))
            yield replace(last, note="; ".join(filter(None, (last.note, view.note))))

    def _by_certain(self, target: Target, view: Restored, asking: Generator) -> Surrogate | None:
        """Learn from answers with one origin alone, to choose among those of others.

        None where they are too few, or most, or of one class; or where the other attack cannot
        learn without asking. Behind mad of two classes the others are mirrored: whoever takes the
        midst of both learns nothing, or everything the wrong way round.
        """
        certain = np.flatnonzero(view.origins.certain)
        if not FEW <= len(certain) < MOSTLY * view.origins.n:
            return None
        known = view.restored.take(certain)
        if len(np.unique(known.labels)) < 2:
            return None
        return self.attack.learn(_before(target, target.api), known, deepcopy(asking))

    def _again(self, target: Target, view: Restored, asking: Generator) -> Iterator[Surrogate]:
        """Fit again to the answers as the surrogate so far settles them, while that helps."""
        given, before, fitted = view.given, inf, None
        for _ in range(self.rounds):
            now = view.restored
            if _same(given, now):
                return
            again = fitted.again if fitted else None
            fitted = (
                again(now, False) if again else self._replayed(target, now, view.queries, asking)
            )
            yield fitted
            given, gap = now, _gap(fitted, now)
            if gap < SETTLED or gap > (1 if again else GAINING) * before:
                return  # it says what was chosen, or comes no nearer
            before = gap

    def _believed(
        self,
        target: Target,
        view: Restored,
        asking: Generator,
        last: Surrogate,
        keeps_labels: bool,
    ) -> Surrogate | None:
        """Fit to the answers as told, or to labels, where these serve better; None where not.

        Where many answers have several origins, the wrong ones may be chosen of all alike. Held-out
        labels that are known to be true tell; without these, what the opposite choice comes to.
        """
        origins = view.origins
        if not (view.undoes and origins.n) or origins.certain.mean() >= MOSTLY:
            return None
        told, restored = view.told, view.restored

        def fit(name: str, answers: Answers) -> Predict:
            if name == "restored" and last.again:
                return last.again(answers, True).predict
            return self._replayed(target, answers, view.queries, asking).predict

        held, name = held_out(origins.certain | keeps_labels), "restored"
        if held is not None:
            options = {"restored": restored, "told": told}
            if keeps_labels:
                options["labels"] = told._replace(outputs=None)
            name = best_of(options, fit, restored.labels, held)
        elif (held := held_out(origins.counts > 0)) is not None and not supported(
            restored, told, view.rival, fit, origins, held
        ):
            name, options = "told", {"told": told}
        if name == "restored":
            return None
        found = self._replayed(target, options[name], view.queries, asking)
        said = "labels alone" if name == "labels" else "answers as told"
        return replace(found, parameters={}, note=f"{said} foretell as much as restored ones")

    def _replayed(
        self, target: Target, answers: Answers, queries: int, asking: Generator
    ) -> Surrogate:
        """Run the other attack again, on these answers."""
        replay = Replayed(target.api.card, answers, queries)
        again = _before(target, replay)
        if (learnt := self.attack.learn(again, answers, deepcopy(asking))) is not None:
            return learnt
        *_, fitted = self.attack.run(again, deepcopy(asking))
        return fitted

    def _tried(self, target: Target, rng: Generator) -> Mapping[str, Defense]:
        """Return what the defense may be, by name."""
        known = target.known.defense
        if known is None or self.knowledge == "none":
            return known_rules()
        tried = [known] if self.knowledge == "exact" else variants(known, rng)
        return {_named(d): d for d in tried}


def _rules(tried: Mapping[str, Defense], k: int) -> Mapping[str, Rule]:
    """Return those defenses, by name, that have an inverse."""
    found = {}
    for name, defense in tried.items():
        if (inverse := inverse_of(defense)) is not None:
            tell = getattr(defense, "told_of", None)
            found[name] = Rule.of(inverse, tell, k) if len(tried) > 1 else Rule(inverse, tell)
    return found


def _before(target: Target, api: PredictionAPI) -> Target:
    """Return what the other attack meets: an API whose answers are true, as far as one can tell."""
    return replace(target, api=api, known=Known(None, target.known.victim))


def _only_chosen(surrogate: Surrogate, view: Restored) -> Surrogate:
    """Take back that it is exact: the answers were chosen so that some model explains them."""
    note = "solved, but for answers that a guess chose"
    if view.origins.pointed.mean() < BOUNDS:
        note = "nothing solved: of most answers bounds are left, and a guess chose within them"
    return replace(surrogate, parameters={}, note=note)


def _same(one: Answers, other: Answers) -> bool:
    """Whether two records of the same queries tell the same, but for rounding errors."""
    assert one.outputs is not None
    assert other.outputs is not None
    return np.allclose(one.outputs, other.outputs, rtol=0, atol=SETTLED, equal_nan=True)


def _gap(surrogate: Surrogate, answers: Answers) -> float:
    """Return how far (mean L1) a surrogate is from the answers that it was fitted to."""
    said = surrogate.predict(answers.x).outputs if len(answers.x) else None
    if said is None or answers.outputs is None or np.isnan(answers.outputs).all():
        return inf
    return float(np.nanmean(np.abs(said - answers.outputs)))


def _nearest(first: Surrogate, last: Surrogate, view: Restored) -> Surrogate:
    """Return the first surrogate where it has what is certain clearly more nearly than the last.

    So it is where sums of trees were told term by term from what is certain: the last one had to
    believe in what was chosen besides. A few certain answers say too little.
    """
    certain = np.flatnonzero(view.origins.certain)
    if last is first or last.parameters or len(certain) < FEW:
        return last
    known = view.restored.take(certain)
    return first if _gap(first, known) < CLEARLY * _gap(last, known) else last


def _named(defense: Defense) -> str:
    """Return the names of a defense's layers, with the knobs that may be guessed."""
    layers = []
    for layer in defense.layers.values():
        knobs = [f"{knob} {getattr(layer, knob)}" for knob in layer.strengths]
        layers.append(", ".join([type(layer).__name__, *knobs]))
    return " and ".join(layers)

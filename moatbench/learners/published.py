"""Which learner an attacker takes: the published family's, or a guess."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from moatbench.client import Card, Surrogate
from moatbench.learners.deep.fit import NetFit
from moatbench.learners.deep.learner import NET, S4L, NetLearner
from moatbench.learners.deep.nets import LEAST
from moatbench.learners.fit import Fit
from moatbench.learners.learner import ACTIVATION, HIDDEN, Learner
from moatbench.learners.trees import FAMILIES as TREE_FAMILIES
from moatbench.learners.trees import TREES, TreeFit, TreeLearner
from moatbench.learners.untold import Untold, UntoldFit
from moatbench.models.embedding import Embedding, HiddenLayer, Monomials
from moatbench.models.forward import ACTIVATIONS
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.types import Array, Labels

PUBLISHED, FALLBACK = "published", "mlp"
LINEAR_ODDS = frozenset({"logistic", "softmax", "linear_probe"})
FAMILIES = {
    "logistic": "softmax",
    "softmax": "softmax",
    "linear_svm": "softmax",  # the same boundaries
    "one_vs_rest": "one_vs_rest",
    "linear_probe": "linear_probe",
    "mlp": "mlp",
    "poly_svm": "poly",
    "poly": "poly",
    "rbf_svm": "rbf",
    "kernel_logistic": "rbf",
    "rbf": "rbf",
}
LEARNERS = (PUBLISHED, "softmax", "one_vs_rest", "mlp", "poly", "rbf", TREES, NET, S4L)
MOST_UNKNOWNS = 25_000  # of a smooth family: a fit takes minutes, a curve hours
UNPUBLISHED = (
    "needs the hidden layer of a linear probe published: activation (tanh, logistic, relu), w1 "
    "(columns, units) and b1 (units,), of columns scaled to -1 to 1, none of which is a code"
)
DEGREE = 2  # of a polynomial, where the service does not publish it
AnyLearner = Learner | TreeLearner | Untold | NetLearner
AnyFit = Fit | TreeFit | UntoldFit | NetFit


def learner_for(name: str, card: Card) -> AnyLearner:
    """Return the learner of that name; `published` is the victim's own family, if the card says.

    Where it does not, held-out answers choose between a network and trees; pictures of 8-bit pixels
    are learnt by a convolutional network.
    """
    asked = card.family if name == PUBLISHED else name
    if asked in TREE_FAMILIES:
        return trees_for(card)
    if asked == S4L:
        return turning(net_for(card))
    if asked == NET or (asked not in FAMILIES and card.space.levels):
        return net_for(card)
    network = smooth_learner(name, card)
    return network if asked in FAMILIES else Untold(network, trees_for(card))


def too_many(name: str, card: Card) -> str:
    """Say that a smooth family has too many unknowns in this space; '' where it is none, or not."""
    learner = learner_for(name, card)
    learner = learner.network if isinstance(learner, Untold) else learner
    if not isinstance(learner, Learner) or (unknowns := learner.unknowns) <= MOST_UNKNOWNS:
        return ""
    return (
        f"{learner.family} has {unknowns:,} unknowns here, and more than {MOST_UNKNOWNS:,} take "
        "hours; choose a smaller space, or attack=active attack.learner=net"
    )


def trees_for(card: Card) -> TreeLearner:
    """Return the learner of trees, on the scale of the victim's family if the card tells one."""
    scales = TREE_FAMILIES.get(card.family or "", TREE_FAMILIES[TREES])
    return TreeLearner(card.space, len(card.classes), scales, unlike(TREES, card))


def net_for(card: Card) -> NetLearner:
    """Return the learner of deep networks: the published architecture, or a usual one."""
    image = card.space.image
    usual = "cnn" if image and min(image[1:]) >= LEAST["cnn"] else "mlp"
    knobs = dict(card.architecture) if card.family == NET else {}
    told = unlike(NET, card) or f"trained a {usual}: the architecture is not published"
    note = "" if card.family == NET else told
    name = str(knobs.pop("net", usual))
    return NetLearner(card.space, len(card.classes), name, knobs, note=note)


def fitted_to(learner: AnyLearner, targets: Array) -> AnyLearner:
    """Return the learner, or its like for labels where nothing else was told: 0 and 1."""
    whole = isinstance(learner, Learner) and bool((targets.max(axis=1, initial=0.0) == 1).all())
    return learner.for_labels() if whole else learner


def deepened(learner: AnyLearner, **knobs: Any) -> AnyLearner:
    """Return the learner; where it trains deep networks, with these knobs of theirs."""
    return replace(learner, **knobs) if isinstance(learner, NetLearner) else learner


def shallow(card: Card, learner: str) -> str:
    """Say why an attack for deep networks is not for this victim, unless a learner is named."""
    known = card.family is not None
    if learner != PUBLISHED or (card.family == NET if known else card.space.image):
        return ""
    return (
        "trains deep networks, and the victim is none that is known; say attack.learner="
        "softmax (or another) to run it all the same"
    )


def turning(learner: NetLearner) -> NetLearner:
    """Return one that also learns by how much pictures are turned.

    Raises:
        ValueError: its network is for tables.
    """
    if learner.net == "mlp":
        raise ValueError("learner s4l must be for pictures, got a network for tables; choose net")
    return replace(learner, recipe=replace(learner.recipe, rotate=1.0))


def unlike(family: str, card: Card) -> str:
    """Say that a smooth family cannot represent trees, or trees a smooth one; '' where it may."""
    victim = TREES if card.family in TREE_FAMILIES else FAMILIES.get(card.family or "")
    if victim is None or (family == TREES) == (victim == TREES):
        return ""
    return f"{family} cannot represent the victim's {card.family}: choose learner=published"


def smooth_learner(name: str, card: Card) -> Learner:
    """Return the learner of a differentiable family; a network where none is published."""
    asked = card.family if name == PUBLISHED else name
    family = FAMILIES.get(asked or "", FALLBACK)
    same = FAMILIES.get(card.family or "") == family
    published: Mapping[str, Any] = card.architecture if same else {}
    note = unlike(family, card)
    embedding: Embedding | None = None
    if family == "poly":
        embedding = Monomials(int(published.get("degree", DEGREE)))
    if family == "linear_probe" and (embedding := hidden_layer(card)) is None:
        family, note = FALLBACK, f"trained an {FALLBACK}: the hidden layer is not published"
    if asked not in FAMILIES:
        note = f"trained an {FALLBACK}: the family is {asked or 'not published'}"
    return Learner(
        card.space,
        len(card.classes),
        family,
        hidden=_units(published.get("hidden")),
        activation=_activation(published.get("activation")),
        note=note,
        embedding=embedding,
        gamma=_gamma(published, card.space),
        metric=published.get("metric", ()) if family == "rbf" else (),
    )


def _units(told: Any) -> int:
    """Return how many units a card tells of; the usual number where it tells no such."""
    whole = isinstance(told, int) and not isinstance(told, bool) and told > 0
    return int(told) if whole else HIDDEN


def _activation(told: Any) -> str:
    """Return the activation that a card tells of; the usual one where it tells no such."""
    return told if isinstance(told, str) and told in ACTIVATIONS else ACTIVATION


def hidden_layer(card: Card) -> HiddenLayer | None:
    """Return the layer that a linear probe publishes; None where there is none for its inputs."""
    layer, space = HiddenLayer.of(card.architecture), card.space
    fits = layer is not None and len(layer.weights) == space.d and not space.coded.size
    return layer if fits else None


def linear_odds(card: Card) -> bool:
    """Whether log-odds are linear in the inputs, or in a hidden layer that the card publishes."""
    unknown = card.family == "linear_probe" and hidden_layer(card) is None
    return card.family in LINEAR_ODDS and not unknown


def odds_learner(card: Card) -> Learner:
    """Return the learner of log-odds that are linear in what is known; else softmax's."""
    return smooth_learner(PUBLISHED if linear_odds(card) else "softmax", card)


def _gamma(published: Mapping[str, Any], space: InputSpace) -> float | None:
    """Return the published width of a kernel: between inputs as its metric measures them.

    Without a metric it is between scaled inputs, which are encoded ones but for codes.
    """
    as_encoded = "metric" in published or not space.coded.size
    return float(published["gamma"]) if "gamma" in published and as_encoded else None


def ignorant(card: Card, answers: Labels | None = None) -> Surrogate:
    """Return the surrogate of an attacker that learnt nothing but the share of each class."""
    k = len(card.classes)
    seen = np.bincount(answers, minlength=k) if answers is not None else np.zeros(k)
    share = (seen + 1) / (seen.sum() + k)

    def predict(x: Array) -> Reply:
        return from_outputs(np.tile(share, (len(x), 1)))

    note = "too few answers to learn from" if seen.any() else "no usable answers"
    return Surrogate(predict, converged=False, note=note, begun=False)

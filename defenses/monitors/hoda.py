"""HODA: the samples of an extraction are harder, or easier, than customers'.

Source: Sadeghzadeh et al. 2021, "HODA: Hardness-Oriented Detection of Model Extraction Attacks",
arXiv:2106.11424.
The abstract was read; the details below are from memory of the paper.
"""

from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import numpy as np

from moatbench.knobs import check_whole
from moatbench.models import forward
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch, Scaling
from moatbench.types import Array, Generator, Labels, Mask, Rows
from moatbench.victim import NotApplicable, Victim

ROWS = 2000  # of the defender's data, at most
SEEDS = 2**31  # scikit-learn takes a seed of 32 bits
RATE, BATCH = 0.01, 32  # of Adam: with few rows, an epoch is few steps
DECIMALS = 12
LINEAR = ("logistic", "softmax", "one_vs_rest")  # without a hidden layer; trained by gradients
NETWORK, BOOSTING = "mlp", "gradient_boosting"


class Stages(Protocol):
    """Models along one training."""

    def labels(self, x: Array) -> Rows:
        """(stages, n) what each of them answers, the earliest first."""


@dataclass
class HODA(Monitor):
    """Alarm when the hardness of an account's queries is distributed unlike that of customers'.

    The hardness of a query is the number of the first training stage from which on the label does
    not change any more: 0 where all stages answer alike, `stages` - 1 where the last two differ. An
    account's latest `window` queries give a histogram H; its score is 1 - Pearson(H, H_customers),
    in [0, 2], and 1 where either is flat, as there is no correlation then. The tests check hardness
    and score on worked examples.

    Departs from the paper, whose stages are checkpoints of the victim's own training: a victim here
    publishes none, and its hardness on rows that it was trained on is not that of new rows. So the
    monitor trains a model of the victim's kind on one half of the defender's training data, with
    the victim's labels: linear models and networks by Adam, kept at epochs in geometric progression
    up to `epochs`; boosting, kept after evenly spaced rounds. The other half, as new to it as
    customers' rows are, gives H_customers and the threshold. A victim that is not trained in stages
    (a tree, a forest, a support vector machine, a service, a model of unpublished family) has no
    hardness.

    Args:
        stages: of training; the paper has 5 or 11.
        epochs: of the last stage, for boosting its rounds; at least `stages`.
        window: queries in a histogram; the paper has 100.
        calibration: of the threshold, on the defender's training data.
    """

    stages: int
    epochs: int
    window: int
    calibration: Calibration

    def __post_init__(self) -> None:
        check_whole("hoda: stages", self.stages, 2)
        check_whole("hoda: epochs", self.epochs, self.stages)
        check_whole("hoda: window", self.window, 2)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; train the stages, and find how customers' hardness varies.

        Raises:
            NotApplicable: the victim has no training stages, or too few labels to train on.
        """
        self._accounts: dict[str, Rows] = {}  # hardness of the latest window - 1
        self._latch = Latch()
        x, self._scaled = victim.shares.x_train, victim.space.scaled
        x = x[rng.permutation(len(x))[:ROWS]]
        labels, half = victim.predict(x).labels, len(x) // 2
        x = self._scaled(x)
        self._stages = self._train(victim, x[:half], labels[:half], rng)
        hard = hardness(self._stages.labels(x[half:]))
        self._usual = np.bincount(hard, minlength=self.stages).astype(np.float64)
        drawn = self.calibration.draw(len(hard), rng, repeats=True)
        self.threshold = self.calibration.threshold(
            [float(self._scores(hard[rows]).max(initial=-inf)) for rows in drawn]
        )

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) the distance of the account's histogram; -inf before its window is full."""
        recent = self._accounts.get(account, np.empty(0, np.intp))
        hard = np.concatenate([recent, hardness(self._stages.labels(self._scaled(x)))])
        self._accounts[account] = hard[max(0, len(hard) - self.window + 1) :]
        full = self._scores(hard)
        return np.concatenate([np.full(len(x) - len(full), -inf), full])

    def _scores(self, hard: Rows) -> Array:
        """(n - window + 1,) the score of each full window."""
        if len(hard) < self.window:
            return np.empty(0)
        counts = np.cumsum(hard[:, None] == np.arange(self.stages), axis=0)
        counts = np.vstack([np.zeros((1, self.stages)), counts])
        return pearson_distance(counts[self.window :] - counts[: -self.window], self._usual)

    def _train(self, victim: Victim, x: Array, labels: Labels, rng: Generator) -> Stages:
        family, seed = victim.family, int(rng.integers(SEEDS))
        if family not in (*LINEAR, NETWORK, BOOSTING):
            what = f"of family {family}" if family else "whose family is not published"
            raise NotApplicable(
                f"hoda needs a victim that is trained in stages ({', '.join(LINEAR)}, {NETWORK} or "
                f"{BOOSTING}); a model {what} has none"
            )
        if len(set(labels.tolist())) < 2:
            raise NotApplicable(
                f"hoda: the victim answers one class on {len(x)} rows of its training data; stages "
                "need two to be trained on"
            )
        if family == BOOSTING:
            return Boosting.train(x, labels, self.stages, self.epochs, seed)
        hidden = victim.architecture.get("hidden", 20) if family == NETWORK else None
        activation = victim.architecture.get("activation", "tanh")
        return Networks.train(x, labels, (hidden, activation), self._epochs(), seed)

    def _epochs(self) -> list[int]:
        """Epochs of the stages: in geometric progression, each at least one more than the last."""
        wanted = np.geomspace(1, self.epochs, self.stages).round().astype(int)
        steps = np.arange(self.stages)
        # Pushed apart from below, then from above, so that the last stays `epochs`
        up = np.maximum.accumulate(wanted - steps) + steps
        return np.minimum(up, self.epochs - steps[::-1]).tolist()  # type: ignore[no-any-return]


def hardness(labels: Rows) -> Rows:
    """(n,) the first of (stages, n) labels from which on they are all as the last."""
    last_other = np.cumsum((labels != labels[-1])[::-1], axis=0)[::-1] > 0
    return np.asarray(last_other.sum(axis=0))


def pearson_distance(histograms: Array, usual: Array) -> Array:
    """(n,) 1 - Pearson correlation of (n, bins) with (bins,), in [0, 2]; 1 where one is flat."""
    a, b = histograms - histograms.mean(axis=1, keepdims=True), usual - usual.mean()
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum())
    product = (a * b).sum(axis=1)
    found = 1 - np.divide(product, scale, out=np.zeros(len(a)), where=scale > 0)
    return np.asarray(np.round(found, DECIMALS))  # equal histograms are not to differ by round-off


@dataclass(frozen=True)
class Networks:
    """A linear model, or one with a hidden layer, at several epochs of its training.

    Args:
        scaling: of the inputs.
        layers: of each stage, the weights and biases of its layers.
        activation: a name of `forward.ACTIVATIONS`.
        classes: that the outputs stand for.
    """

    scaling: Scaling
    layers: tuple[tuple[tuple[Array, Array], ...], ...]
    activation: str
    classes: Labels

    @classmethod
    def train(
        cls,
        x: Array,
        labels: Labels,
        shape: tuple[int | None, str],
        epochs: list[int],
        seed: int,
    ) -> "Networks":
        """Train one network; keep it at each of the epochs."""
        from sklearn.neural_network import MLPClassifier

        hidden, activation = shape
        scaling, classes = Scaling.of(x), np.unique(labels)
        model: Any = MLPClassifier(
            () if hidden is None else (hidden,),
            activation=activation,
            learning_rate_init=RATE,
            batch_size=min(BATCH, len(x)),
            random_state=seed,
        )
        inputs, kept = scaling(x), []
        for epoch in range(1, epochs[-1] + 1):
            model.partial_fit(inputs, labels, classes=classes)
            if epoch in epochs:
                pairs = zip(model.coefs_, model.intercepts_, strict=True)
                kept.append(tuple((w.copy(), b.copy()) for w, b in pairs))
        return cls(scaling, tuple(kept), activation, classes)

    def labels(self, x: Array) -> Rows:
        """(stages, n) what each of them answers."""
        scaled = self.scaling(x)
        return np.stack([self._answer(layers, scaled) for layers in self.layers])

    def _answer(self, layers: tuple[tuple[Array, Array], ...], x: Array) -> Labels:
        for place, (weights, bias) in enumerate(layers):
            if place:
                x = forward.ACTIVATIONS[self.activation](x)
            x = forward.affine(x, weights, bias)
        best = x[:, 0] > 0 if x.shape[1] == 1 else x.argmax(axis=1)
        return np.asarray(self.classes[best.astype(np.intp)])


@dataclass(frozen=True)
class Boosting:
    """A boosted model, cut off after each of some rounds."""

    model: Any
    rounds: tuple[int, ...]

    @classmethod
    def train(cls, x: Array, labels: Labels, stages: int, rounds: int, seed: int) -> "Boosting":
        """Boost for all rounds."""
        from sklearn.ensemble import GradientBoostingClassifier

        model = GradientBoostingClassifier(
            n_estimators=rounds, max_leaf_nodes=8, max_depth=None, random_state=seed
        )
        wanted = np.linspace(rounds / stages, rounds, stages).round().astype(int)
        return cls(model.fit(x, labels), tuple(wanted.tolist()))

    def labels(self, x: Array) -> Rows:
        """(stages, n) what each of them answers."""
        staged = enumerate(self.model.staged_predict(x), start=1)
        return np.stack([answer for turn, answer in staged if turn in self.rounds])

"""HODA: the samples of an extraction are harder, or easier, than customers'.

Source: Sadeghzadeh et al. 2021, "HODA: Hardness-Oriented Detection of Model Extraction Attacks",
arXiv:2106.11424.
Read: text.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from moatbench.defenses.monitors.stages import Boosting, DeepNets, Networks, Stages
from moatbench.knobs import check_choice, check_whole
from moatbench.learners.deep.learner import NET
from moatbench.learners.deep.nets import Net
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch
from moatbench.types import Array, Generator, Labels, Mask, Rows
from moatbench.victim import NotApplicable, Victim

ROWS = 2000  # of the defender's data, at most
SEEDS = 2**31  # scikit-learn takes a seed of 32 bits
DECIMALS = 12
LINEAR = ("logistic", "softmax", "one_vs_rest")  # without a hidden layer; trained by gradients
NETWORK, BOOSTING = "mlp", "gradient_boosting"
SPACINGS, WHEN = ("even", "geometric"), ("once", "sliding")


@dataclass
class HODA(Monitor):
    """Alarm when the hardness of an account's queries is distributed unlike that of customers'.

    The hardness of a query is the number of the first training stage from which on the label does
    not change any more: 0 where all stages answer alike, `stages` - 1 where the last two differ.
    `window` queries of an account give a histogram H; the score is 1 - Pearson(H, H_customers), in
    [0, 2], and 1 where either is flat, as there is no correlation then. The tests check hardness
    and score on worked examples. As published there are 11 stages, after epochs 1, 10, 20 to 100;
    an account is judged `once`, when it has sent 100 queries; and the threshold is the greatest
    score of 40,000 drawn sequences, which is what the calibration finds where false_positives is
    1 / 40,001. Ours judges every window of the last 100 (`sliding`), with stages in geometric
    progression; it catches hardly more.

    The paper's stages are checkpoints of the victim's own training. A deep network keeps them where
    it is told to (`victim.stages=11`), and they are taken; H_customers and the threshold are then
    of all of the defender's training data, though hardness on rows that a model was trained on is
    not quite that of new rows. Other victims keep none: of those the monitor trains a model of the
    victim's kind on one half of the defender's training data, with the victim's labels: linear
    models and networks by Adam, boosting, kept after evenly spaced rounds; of a deep network one of
    its architecture. The other half, as new to it as customers' rows are, gives H_customers (there
    the mean over the sequences drawn, which tends to it) and the threshold. What it catches depends
    on that training's draw. A victim that is not trained in stages (a tree, a forest, a support
    vector machine, a service, a model of unpublished family) has no hardness.

    Args:
        stages: of training.
        epochs: of the last stage, for boosting its rounds; at least `stages`.
        spacing: of the stages' epochs, `even` or `geometric`.
        when: an account is judged `once`, at its `window`-th query, or `sliding`, from it on.
        window: queries in a histogram.
        calibration: of the threshold, on the defender's training data.
    """

    stages: int
    epochs: int
    spacing: str
    when: str
    window: int
    calibration: Calibration

    def __post_init__(self) -> None:
        check_whole("hoda: stages", self.stages, 2)
        check_whole("hoda: epochs", self.epochs, self.stages)
        check_choice("hoda: spacing", self.spacing, SPACINGS)
        check_choice("hoda: when", self.when, WHEN)
        check_whole("hoda: window", self.window, 2)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; train the stages, and find how customers' hardness varies.

        Raises:
            NotApplicable: the victim has no training stages, or too few labels to train on.
        """
        self._accounts: dict[str, _Recent] = {}
        self._latch = Latch()
        deep, x = victim.family == NET, victim.shares.x_train
        self._scaled = victim.space.encode if deep else victim.space.scaled
        x = x[rng.permutation(len(x))[:ROWS]]
        if deep and (nets := getattr(victim.predict, "stages", ())):
            self._stages, x = self._own(nets), self._scaled(x)
        else:
            labels, half = victim.predict(x).labels, len(x) // 2
            x = self._scaled(x)
            self._stages, x = self._train(victim, x[:half], labels[:half], rng), x[half:]
        hard = hardness(self._stages.labels(x))
        self._usual = np.bincount(hard, minlength=self.stages).astype(np.float64)
        drawn = self.calibration.draw(len(hard), rng, repeats=True)
        self.threshold = self.calibration.threshold(self._greatest(hard, drawn))

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) the distance of the account's histogram; -inf where it is not judged."""
        known = self._accounts.setdefault(account, _Recent(np.empty(0, np.intp)))
        hard = np.concatenate([known.hard, hardness(self._stages.labels(self._scaled(x)))])
        full = self._scores(hard)
        scores = np.concatenate([np.full(len(x) - len(full), -inf), full])
        if self.when == "once":
            number = known.asked + np.arange(1, len(x) + 1)
            scores[number != self.window] = -inf
        known.hard = hard[max(0, len(hard) - self.window + 1) :]
        known.asked += len(x)
        return scores

    def _greatest(self, hard: Rows, drawn: list[Rows]) -> list[float]:
        """Return the greatest score of each account drawn, given the hardness of all rows."""
        if self.when == "sliding":
            return [float(self._scores(hard[rows]).max(initial=-inf)) for rows in drawn]
        if self.calibration.horizon < self.window:
            return [-inf] * len(drawn)
        asked = hard[np.stack(drawn)[:, : self.window]]
        counts = np.stack([(asked == stage).sum(axis=1) for stage in range(self.stages)], axis=1)
        found: list[float] = pearson_distance(counts.astype(np.float64), self._usual).tolist()
        return found

    def _scores(self, hard: Rows) -> Array:
        """(n - window + 1,) the score of each full window."""
        if len(hard) < self.window:
            return np.empty(0)
        counts = np.cumsum(hard[:, None] == np.arange(self.stages), axis=0)
        counts = np.vstack([np.zeros((1, self.stages)), counts])
        return pearson_distance(counts[self.window :] - counts[: -self.window], self._usual)

    def _own(self, nets: tuple[Net, ...]) -> Stages:
        if len(nets) != self.stages:
            raise NotApplicable(
                f"hoda: stages must be as many as the victim keeps of its training, got "
                f"{self.stages}, and it keeps {len(nets)}; set victim.stages={self.stages}, or to 0"
            )
        return DeepNets(nets)

    def _train(self, victim: Victim, x: Array, labels: Labels, rng: Generator) -> Stages:
        family, seed = victim.family, int(rng.integers(SEEDS))
        if family not in (*LINEAR, NETWORK, BOOSTING, NET):
            what = f"of family {family}" if family else "whose family is not published"
            raise NotApplicable(
                f"hoda needs a victim that is trained in stages ({', '.join(LINEAR)}, {NETWORK}, "
                f"{NET} or {BOOSTING}); a model {what} has none"
            )
        if len(set(labels.tolist())) < 2:
            raise NotApplicable(
                f"hoda: the victim answers one class on {len(x)} rows of its training data; stages "
                "need two to be trained on"
            )
        if family == NET:
            return DeepNets.train(victim, x, labels, self._epochs(), seed)
        if family == BOOSTING:
            return Boosting.train(x, labels, self.stages, self.epochs, seed)
        hidden = victim.architecture.get("hidden", 20) if family == NETWORK else None
        activation = victim.architecture.get("activation", "tanh")
        return Networks.train(x, labels, (hidden, activation), self._epochs(), seed)

    def _epochs(self) -> list[int]:
        """Epochs of the stages, each at least one more than the last."""
        if self.spacing == "even":
            wanted = np.linspace(0, self.epochs, self.stages).round().astype(int)
            wanted[0] = 1
        else:
            wanted = np.geomspace(1, self.epochs, self.stages).round().astype(int)
        steps = np.arange(self.stages)
        # Pushed apart from below, then from above, so that the last stays `epochs`
        up = np.maximum.accumulate(wanted - steps) + steps
        return np.minimum(up, self.epochs - steps[::-1]).tolist()  # type: ignore[no-any-return]


@dataclass
class _Recent:
    """What is known of an account: the hardness of its latest window - 1, and queries so far."""

    hard: Rows
    asked: int = 0


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

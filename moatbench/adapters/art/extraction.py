"""ART's KnockoffNets and CopycatCNN as attacks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

import numpy as np

from moatbench.adapters.art.ledger import Ledger, Spent, black_box
from moatbench.adapters.art.toolbox import own_draws, require_art
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Card, Surrogate
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.learners.deep.device import one_stream
from moatbench.learners.deep.learner import NET
from moatbench.learners.deep.nets import Net, kept
from moatbench.learners.published import ignorant
from moatbench.numerics.k_means import k_means, nearest
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.strategies.retraining import ANSWERS
from moatbench.types import Array, Generator, Labels

METHODS = ("KnockoffNets", "CopycatCNN")
STRATEGIES = ("random", "adaptive")
REWARDS = ("cert", "div", "loss", "all")
BATCH_QUERY = 1024


@dataclass(frozen=True)
class ArtThief(Attack):
    """One of ART's attacks that train on a pool, run anew for each checkpoint.

    Its pool is the attacker's, in random order, then uniform inputs: the order, and so what is
    bought, is that of `pool_retraining` with the same seed, and of the rest ART decides. The thief
    is the victim's own architecture, as far as it is published, trained by ART's PyTorchClassifier.

    Args:
        method: `KnockoffNets` or `CopycatCNN`, which are one to random draws.
        strategy: `random`, or `adaptive`: KnockoffNets' bandit, which learns from labels alone, and
            asks some rows again. Its arms should be true labels; an attacker has none, so they are
            the groups of the pool that k-means finds, as many as classes.
        reward: of the bandit: `cert`, `div`, `loss` or `all`.
        answers: `confidences` (ART's use_probability) or `labels`, ART's default.
        steps: of Adam at each checkpoint, at least; ART counts in epochs.
        rate: of Adam.
        batch: rows of a step.

    Source: Orekondy et al. 2019, arXiv:1812.02766; Correia-Silva et al. 2018, arXiv:1806.05476; as
    adversarial-robustness-toolbox 1.20.1 has them.
    """

    method: str
    strategy: str
    reward: str
    answers: str
    steps: int
    rate: float
    batch: int

    needs: ClassVar[Needs] = Needs(pool=True)

    def __post_init__(self) -> None:
        check_choice("art: method", self.method, METHODS)
        check_choice("art: strategy", self.strategy, STRATEGIES)
        check_choice("art: reward", self.reward, REWARDS)
        check_choice("art: answers", self.answers, ANSWERS)
        check_whole("art: steps", self.steps, 1)
        check_number("art: rate", self.rate, 0, above=True)
        check_whole("art: batch", self.batch, 1)
        if self.method == "CopycatCNN" and self.strategy != "random":
            raise ValueError(
                f"art: strategy must be random for CopycatCNN, got {self.strategy}; choose "
                "method=KnockoffNets"
            )
        require_art(f"the attack {self.method}")

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether it leaves confidences unused; the bandit trains on labels whatever is told."""
        return self.answers == "labels"

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Run ART's attack from its start, each time with the same draws."""
        session = _Session(self, target, rng)
        for checkpoint in target.api.checkpoints:
            yield session.at(checkpoint)


class _Session:
    """One run of the attack: what it owns, and what it has bought."""

    def __init__(self, attack: ArtThief, target: Target, rng: Generator) -> None:
        self._attack, self._api, self._card = attack, target.api, target.api.card
        self._draws, _, training = rng.spawn(3)  # as `Retraining` does
        self._seed = int(training.integers(2**31))
        self._source = target.pool[self._draws.permutation(len(target.pool))]
        self._ledger = Ledger(target.api, attack.answers == "labels")
        self._net = architecture(self._card)
        self._arms = _arms(self._card, self._source, self._seed)

    def at(self, checkpoint: int) -> Surrogate:
        """Steal with so many queries; say so where ART breaks, and spend what it left."""
        if self._attack.strategy == "random":
            self._extend(checkpoint)
            self._ledger.buy(self._source[self._api.queries : checkpoint])
        self._ledger.restart(checkpoint)
        with one_stream(self._seed), own_draws(self._seed):
            thief, problem = self._net.fresh_thief(self._attack.rate), ""
            try:
                with np.errstate(all="ignore"):
                    self._extract(thief, checkpoint)
            except Spent:
                problem = "ART asked for more than the budget"
            except Exception as error:
                problem = f"ART broke: {error}"
            state = kept(thief.model)
        self._ledger.spend(self._card.space.sample(checkpoint - self._api.queries, self._draws))
        return self._net.surrogate(state, problem, self._card, self._ledger)

    def _extend(self, n: int) -> None:
        """Let the source hold n rows at least."""
        more = self._card.space.sample(max(0, n - len(self._source)), self._draws)
        self._source = np.vstack([self._source, more])

    def _extract(self, thief: Any, n: int) -> None:
        """Let ART steal; it takes and tells its rows in single precision, on [-1, 1]."""
        import art.attacks.extraction as extraction

        knobs, adaptive = self._attack, self._attack.strategy == "adaptive"
        rows = self._source if adaptive else self._source[:n]  # of which it takes all
        coded = self._card.space.encode(rows).astype(np.float32)
        own = {row.tobytes(): place for place, row in enumerate(coded)}

        def ask(x: Array) -> Array:
            return self._ledger.ask(rows[[own[row.tobytes()] for row in x]]).astype(np.float32)

        how: dict[str, Any] = {
            "batch_size_fit": knobs.batch,
            "batch_size_query": BATCH_QUERY,
            "nb_epochs": ceil(knobs.steps / ceil(n / knobs.batch)),
            "nb_stolen": n,
            "use_probability": knobs.answers == "confidences",
        }
        if knobs.method == "KnockoffNets":
            how |= {"sampling_strategy": knobs.strategy, "reward": knobs.reward, "verbose": False}
        box = black_box(ask, coded.shape[1:], len(self._card.classes))
        attack = getattr(extraction, knobs.method)(box, **how)
        attack.extract(coded, self._arms(coded) if adaptive else None, thieved_classifier=thief)


@dataclass(frozen=True)
class Architecture:
    """The thief's network: a name of `architectures`, and its knobs."""

    space: InputSpace
    k: int
    name: str
    knobs: Mapping[str, Any]
    note: str

    @property
    def image(self) -> tuple[int, ...]:
        """The shape of an input, a row to ART and to the network."""
        return self.space.image or (int(self.space.encode(self.space.low[None]).shape[1]),)

    def fresh_thief(self, rate: float) -> Any:
        """Make it with fresh weights, as a classifier of ART's."""
        import torch
        from art.estimators.classification import PyTorchClassifier

        from moatbench.learners.deep.architectures import make

        module = make(self.name, self.image, self.k, self.knobs)
        adam = torch.optim.Adam(module.parameters(), lr=rate)
        width = (int(np.prod(self.image)),)
        loss = torch.nn.CrossEntropyLoss()
        return PyTorchClassifier(module, loss, width, self.k, optimizer=adam, device_type="cpu")

    def surrogate(
        self, state: Mapping[str, Any], problem: str, card: Card, ledger: Ledger
    ) -> Surrogate:
        """Return the network as it is now; of no answers, what knows nothing."""
        if not ledger.counts.any():
            return ignorant(card)
        net = Net(self.name, self.image, self.k, self.knobs, state)
        space = self.space

        def predict(x: Array) -> Reply:
            return from_outputs(net.outputs(space.encode(x)))

        note = "; ".join(part for part in (self.note, problem) if part)
        return Surrogate(predict, converged=not problem, note=note)


def architecture(card: Card) -> Architecture:
    """Return the published architecture, or what the field would take: linear is an mlp of none."""
    told, k, space = dict(card.architecture), len(card.classes), card.space
    if card.family == NET:
        return Architecture(space, k, str(told.pop("net")), told, "")
    if card.family in ("softmax", "logistic", "one_vs_rest"):
        return Architecture(space, k, "mlp", {"hidden": ()}, "")
    if card.family == "mlp":
        knobs = {"hidden": int(told["hidden"]), "activation": str(told["activation"])}
        return Architecture(space, k, "mlp", knobs, "")
    usual = "cnn" if space.image else "mlp"
    return Architecture(space, k, usual, {}, f"trained a {usual}: of the victim's family ART none")


def _arms(card: Card, pool: Array, seed: int) -> Any:
    """Return what tells each encoded row (n, d) its arm: the nearest of the pool's groups."""
    z = card.space.encode(pool)
    groups = min(len(card.classes), len(np.unique(z, axis=0)))
    centers = k_means(z, groups, seed)

    def arms(rows: Array) -> Labels:
        return np.unique(nearest(rows.astype(np.float64), centers), return_inverse=True)[1]

    return arms

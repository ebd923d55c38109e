"""Models along one training, whose labels tell how hard an input is; HODA trains them.

Source: Sadeghzadeh et al. 2021, "HODA", arXiv:2106.11424: its subclassifiers.
Read: text.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from moatbench.learners.deep.device import one_stream
from moatbench.learners.deep.nets import Net
from moatbench.learners.deep.recipes import Recipe
from moatbench.models import forward
from moatbench.numerics.calibration import Scaling
from moatbench.types import Array, Labels, Rows
from moatbench.victim import Victim

RATE, BATCH = 0.01, 32  # of Adam: with few rows, an epoch is few steps


class Stages(Protocol):
    """Models along one training."""

    def labels(self, x: Array) -> Rows:
        """(stages, n) what each of them answers, the earliest first."""


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
class DeepNets:
    """A deep network at several places of its training: the victim's own, or one like it."""

    nets: tuple[Net, ...]

    @classmethod
    def train(
        cls, victim: Victim, z: Array, labels: Labels, epochs: list[int], seed: int
    ) -> "DeepNets":
        """Train the victim's architecture by our recipe; keep it at each of the epochs.

        Args:
            victim: whose architecture it is.
            z: (n, d) encoded rows.
            labels: (n,) the victim's.
            epochs: whose last is the end of the training.
            seed: of first weights and the order of the rows.
        """
        from moatbench.learners.deep.architectures import make
        from moatbench.learners.deep.training import Along, train

        knobs, k = dict(victim.architecture), len(victim.classes)
        name = str(knobs.pop("net"))
        image = victim.space.image or (z.shape[1],)
        recipe = Recipe(steps=0, epochs=epochs[-1])
        # With rows left over, an epoch of the recipe is a step longer than a pass
        a_pass = recipe.steps_for(len(z)) // epochs[-1]
        along = Along({epoch * a_pass for epoch in epochs})
        with one_stream(seed):
            module = make(name, image, k, knobs)
            train(module, z, np.eye(k)[labels], recipe, np.random.default_rng(seed), along=along)
        return cls(tuple(Net(name, tuple(image), k, knobs, state) for state in along.states))

    def labels(self, x: Array) -> Rows:
        """(stages, n) what each of them answers to encoded rows."""
        return np.stack([net.outputs(x).argmax(axis=1) for net in self.nets])


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

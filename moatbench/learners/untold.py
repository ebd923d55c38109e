"""Train what a victim of no published family may be, and keep what predicts held-out answers."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from moatbench.client import Surrogate
from moatbench.learners.fit import HELD_OUT, Fit, held_out
from moatbench.learners.learner import STALE, Learner
from moatbench.learners.trees import SCREENED, TreeFit, TreeLearner, loss
from moatbench.types import Array, Generator, Labels, Rows

if TYPE_CHECKING:
    from moatbench.learners.published import AnyFit


@dataclass(frozen=True)
class Untold:
    """A network and trees, where nobody says what the victim is.

    The network is trained as if there were no trees; they take its place where they predict
    held-out answers better than it does.

    Args:
        network: the one.
        trees: the others.
    """

    network: Learner
    trees: TreeLearner

    @property
    def family(self) -> str:
        """What decides how to ask and from where to go on."""
        return self.network.family

    @property
    def k(self) -> int:
        """Classes."""
        return self.network.k

    @property
    def note(self) -> str:
        """What a surrogate says where the network is kept."""
        return self.network.note

    @property
    def unknowns(self) -> int:
        """Equations that determine the network."""
        return self.network.unknowns

    def for_labels(self) -> "Untold":
        """Return the same for bare labels."""
        return Untold(self.network.for_labels(), self.trees.for_labels())

    def fit(
        self,
        x: Array,
        targets: Array,
        rng: Generator,
        resume: "AnyFit | None" = None,
        brief: bool = False,
    ) -> "UntoldFit":
        """Train both, and choose anew where there are a fifth more answers; as the others do."""
        resume = resume if isinstance(resume, UntoldFit) else None
        network = self.network.fit(x, targets, rng, resume.network if resume else None, brief)
        drawing = rng.spawn(1)[0]  # apart: the network is the same with trees and without
        chosen_at, win = (resume.chosen_at, resume.trees is not None) if resume else (0, False)
        if len(x) >= STALE * chosen_at or not brief:
            chosen_at, win = len(x), self._trees_win(network, x, targets, drawing)
        trees = self.trees.fit(x, targets, drawing, brief=brief) if win else None
        return UntoldFit(self, network, trees, chosen_at)

    def _trees_win(self, network: Fit, x: Array, targets: Array, rng: Generator) -> bool:
        """Whether trees predict the rows better that neither was trained on."""
        x, targets = x[:SCREENED], targets[:SCREENED]
        held = held_out(len(x))
        if len(x) < HELD_OUT * HELD_OUT:
            return False
        rehearsed = replace(network, thetas=network.rehearsed)
        trees = self.trees.fit(x[~held], targets[~held], rng, brief=True)
        rivals = (fit.outputs(x[held]) for fit in (rehearsed, trees))
        of_network, of_trees = (loss(outputs, targets[held]) for outputs in rivals)
        return of_trees < of_network


@dataclass(frozen=True)
class UntoldFit:
    """The network, and the trees where they do better.

    Args:
        learner: what trained them.
        network: always.
        trees: None where the network does better.
        chosen_at: how many answers there were when that was found out.
    """

    learner: Untold
    network: Fit
    trees: TreeFit | None
    chosen_at: int

    @property
    def best(self) -> Fit | TreeFit:
        """The better one."""
        return self.network if self.trees is None else self.trees

    def outputs(self, x: Array) -> Array:
        """(n, k) class probabilities."""
        return self.best.outputs(x)

    def labels(self, x: Array) -> Labels:
        """(n,) the most probable class."""
        return self.best.labels(x)

    @property
    def plane(self) -> None:
        """Return nothing: neither has a plane for its boundary."""
        return None

    @property
    def in_steps(self) -> bool:
        """Whether the outputs are constant but for steps."""
        return self.best.in_steps

    def uncertain(self, candidates: Array, n: int, known: Array) -> Rows:
        """Choose as the better one does."""
        return self.best.uncertain(candidates, n, known)

    def surrogate(self) -> Surrogate:
        """Return the better one as an attack yields it."""
        made = self.best.surrogate()
        if self.trees is None:
            return made
        why = "trained trees: the family is not published, and a network predicts no better"
        return replace(made, note=why)

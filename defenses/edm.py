"""EDM: the answers of several models that agree on customers' data and nowhere else.

Source: Kariyappa et al. 2021, "Protecting DNNs from Theft using an Ensemble of Diverse Models"
(ICLR), with the serving rule of the repository `disruption-based-defenses`.
Read: re-implementation.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from moatbench.data.strange import outliers
from moatbench.defense import Defense
from moatbench.knobs import check_number, check_whole
from moatbench.models.linear import design
from moatbench.models.network import Network
from moatbench.models.perceptron import Perceptron
from moatbench.numerics.objectives import CrossEntropy
from moatbench.reply import Reply, has_outputs
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Labels, Rows
from moatbench.victim import Victim

MOST_ROWS = 1_000  # of the training data
OUTLIERS = 200
RIDGE = 1e-4  # on each member's weights
HASH_CLASSES, HASH_BINS, HASH_HIDDEN = 10, 2, 32  # M and m of the paper's code
HASH_SPREAD = 3.0  # of the hash's scores, so that its confidences fill both bins


@dataclass
class EnsembleOfDiverseModels(Defense):
    """Answer as one of several networks, which the row chooses.

    The members minimise the sum of their cross-entropies on the defender's labelled data, plus
    `diversity` times the mean, over inputs drawn uniformly, of log sum_{i<j} exp cos(p_i, p_j):
    the smooth maximum, over pairs, of the cosine of their answers. A row is served by member
    (m c + floor((M p - 1) m / (M - 1))) mod n, with c and p the class and the confidence of a
    network that has nothing to do with the task (M = 10, m = 2). A thief with strange inputs is
    told of several functions at once; a repeat is told the same.

    It departs from the paper where a victim is already there: the members take its place in the
    answers, and it stays what a thief's model is measured against. Labels are therefore not kept,
    even for customers, but for as far as members and victim learnt the same. The members have one
    hidden layer, and the hash network is random where the authors' is trained on another task; its
    scores are centred and scaled on the defender's data, so that no member idles. In a stack it
    undoes what earlier layers did to the answers, except to withhold.

    Verified: the gradient of the diversity by finite differences, the serving rule by hand; members
    disagree on strange inputs more than without the term, and are as accurate on test data.

    Args:
        members: networks, at least 2.
        hidden: units of each.
        diversity: weight of the term that keeps members apart, at least 0.
        steps: of their training at most (L-BFGS, all members at once).
    """

    members: int
    hidden: int
    diversity: float
    steps: int

    traits = Traits({"off_data"}, keeps_labels=False)

    def __post_init__(self) -> None:
        check_whole("edm: members", self.members, 2)
        check_whole("edm: hidden", self.hidden, 1)
        check_number("edm: diversity", self.diversity, 0)
        check_whole("edm: steps", self.steps, 1)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Train the members; need class probabilities to replace, and training rows."""
        victim.require_probabilities("edm", full=True)
        victim.require_training_rows("edm")
        x, y = victim.shares.x_train, victim.shares.y_train
        rows = rng.permutation(len(x))[:MOST_ROWS]
        odd = outliers(victim, OUTLIERS, rng)
        self._space, k = victim.space, len(victim.classes)
        known, strange = (victim.space.encode(part) for part in (x[rows], odd))
        self.networks = self._trained(known, np.eye(k)[y[rows]], strange, rng)
        self._hash = hash_network(known, rng)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer as the members; no path: it would tell of the victim."""
        at = self._space.encode(x)
        serving = member(self._hash.outputs(at), self.members)
        outputs = np.empty((len(x), len(self.networks[0].bias)))
        for number, network in enumerate(self.networks):
            outputs[serving == number] = network.outputs(at[serving == number])
        labels: Labels = outputs.argmax(axis=1).astype(np.int64)
        if reply.outputs is None:
            return Reply(labels, refused=reply.refused)
        outputs[~has_outputs(reply.outputs)] = np.nan
        return Reply(labels, outputs, refused=reply.refused)

    def _trained(
        self, known: Array, targets: Array, strange: Array, rng: Generator
    ) -> tuple[Perceptron, ...]:
        """Fit all members at once, to labels of the known rows and apart on the strange ones."""
        k, each = targets.shape[1], range(self.members)
        near, far = (
            [Network(a, k, self.hidden, "tanh") for _ in each]
            for a in (design(known), design(strange))
        )
        loss, shape = CrossEntropy(targets), (self.members, -1)

        def cost(flat: Array) -> tuple[float, Array]:
            thetas = flat.reshape(shape)
            total, gradient = RIDGE / 2 * float(flat @ flat), RIDGE * thetas
            alike, by_scores = likeness(
                np.array([m.scores(t) for m, t in zip(far, thetas, strict=True)])
            )
            for i, theta in enumerate(thetas):
                value, by_score = loss.value(near[i].scores(theta))
                total += value
                gradient[i] += near[i].gradient(theta, by_score)
                gradient[i] += self.diversity * far[i].gradient(theta, by_scores[i])
            return total + self.diversity * alike, gradient.ravel()

        start = np.concatenate([m.begin(rng) for m in near])
        found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": self.steps})
        return tuple(Perceptron.of(m, t) for m, t in zip(near, found.x.reshape(shape), strict=True))


def likeness(scores: Array) -> tuple[float, Array]:
    """Smooth maximum of the cosines between the members' answers, and its gradient.

    Scores (members, n, k), their softmax the answers; the mean over n rows. Gradient by score.
    """
    p: Array = softmax(scores, axis=2)
    length = np.linalg.norm(p, axis=2, keepdims=True)
    u = p / length
    cosines = np.einsum("ink,jnk->nij", u, u)
    pairs = np.triu(np.ones(cosines.shape[1:], dtype=bool), 1)
    smooth: Array = logsumexp(cosines[:, pairs], axis=1)
    share = np.where(pairs, np.exp(cosines - smooth[:, None, None]), 0.0)
    by_u = np.einsum("nij,jnk->ink", share + share.transpose(0, 2, 1), u)
    by_p = (by_u - u * (by_u * u).sum(axis=2, keepdims=True)) / length
    by_score = p * (by_p - (by_p * p).sum(axis=2, keepdims=True))
    return float(smooth.mean()), by_score / len(smooth)


def hash_network(known: Array, rng: Generator) -> Perceptron:
    """Draw a network whose scores have mean 0 and deviation `HASH_SPREAD` on the known rows."""
    first = rng.normal(size=(known.shape[1], HASH_HIDDEN)) / np.sqrt(known.shape[1])
    shift, last = rng.normal(size=HASH_HIDDEN), rng.normal(size=(HASH_HIDDEN, HASH_CLASSES))
    raw = Perceptron(first, shift, last, np.zeros(HASH_CLASSES)).scores(known)
    scale = HASH_SPREAD / np.maximum(raw.std(axis=0), 1e-9)
    return Perceptron(first, shift, last * scale, -raw.mean(axis=0) * scale)


def member(hashed: Array, members: int) -> Rows:
    """(n,) which member serves each row, from the hash network's answers (n, M)."""
    classes = hashed.shape[1]
    share = (classes * hashed.max(axis=1) - 1) / (classes - 1)
    place: Rows = HASH_BINS * hashed.argmax(axis=1) + np.floor(HASH_BINS * share).astype(np.intp)
    return place % members

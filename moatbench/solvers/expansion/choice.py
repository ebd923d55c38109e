"""Which model of the answers to serve: a booster, the terms found, or both together."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np

from moatbench.client import Card, Surrogate
from moatbench.learners.grown_tree import clueless
from moatbench.learners.purchases import Purchases
from moatbench.reply import Predict, Reply, from_outputs, has_outputs
from moatbench.solvers.expansion.book import Sum
from moatbench.solvers.expansion.boosted import Boosted
from moatbench.solvers.expansion.coordinates import Coordinates
from moatbench.solvers.expansion.expansion import Expansion
from moatbench.solvers.expansion.scale import Scale
from moatbench.solvers.expansion.switches import Switches
from moatbench.types import Array

FEW = 2  # answers, with fewer of which nothing is learnt
LABEL = 0.02  # probability of the classes that a label alone does not name
GOOD = 0.5  # share of held-out draws that terms explain, from which no booster does better alone
SURELY = 0.95  # of what the certificate bounds

Totals = Callable[[Array], Array]  # (n, d) inputs to answers on their scale


def learnt(card: Card, bought: Purchases, logs: bool, reason: str) -> Surrogate:
    """Return a booster of all answers; of labels, where no more came."""
    outputs, x = bought.outputs, bought.x
    told = has_outputs(outputs)
    if not told.any() and not card.regression:
        hard = bought.targets(use_confidences=False)
        told, outputs = np.ones(len(x), bool), np.where(hard > 0, 1 - LABEL, LABEL)
    if told.sum() < FEW:
        return clueless(card)
    scale = Scale.of(outputs[told], logs, card.full)
    booster = Boosted.fit(card.space.encode(x[told]), scale.read(outputs[told])[0])

    def totals(rows: Array) -> Array:
        return booster(card.space.encode(rows))

    note = f"boosted trees: {reason}" if reason else "boosted trees"
    return Surrogate(served(scale, totals), note=note)


def chosen(expansion: Expansion, card: Card, bought: Purchases) -> Surrogate:
    """Return what has the held-out draws most nearly; terms alone, where nothing is left over."""
    book = expansion.book
    scale, found = book.scale, deepcopy(Sum(book.switches, book.terms))
    at, anchor = book.at, book.at.rows(book.at.anchor[None])
    left, n = book.left, book.n

    def values(rows: Array) -> Array:
        return at.values(np.where(np.isnan(rows), anchor, rows))

    def terms(rows: Array) -> Array:
        return found(values(rows))

    held = np.array(sorted(expansion.held), dtype=np.intp)
    models: dict[str, Totals] = {"terms": terms}
    if left.any() and len(held):
        taught = np.ones(n, bool)
        taught[held] = False
        codes = Codes(found.switches, at)
        rest = Boosted.fit(codes(book.values[:n][taught]), book.residual[:n][taught])
        models["terms and boosted trees"] = lambda rows: terms(rows) + rest(codes(values(rows)))
        if left[held].mean() > 1 - GOOD:
            x = at.rows(book.values[:n])
            whole = Boosted.fit(card.space.encode(x[taught]), book.targets[:n][taught])
            models["boosted trees"] = lambda rows: whole(card.space.encode(rows))
    name = next(iter(models))
    if len(models) > 1:
        exam, truth = at.rows(book.values[held]), scale.outputs(book.targets[held])
        off = {m: np.abs(scale.outputs(f(exam)) - truth).sum() for m, f in models.items()}
        name = min(off, key=lambda m: off[m])
    clean = expansion.clean
    parameters = evidence(found, clean) if name != "boosted trees" else {}
    return Surrogate(
        served(scale, models[name]), parameters, note=told(name, expansion, int(left.sum()))
    )


def told(name: str, expansion: Expansion, left: int) -> str:
    """Say what was found, and what is left over or how much can be unseen."""
    book = expansion.book
    tests = int(book.terms.members.any(axis=0).sum())
    found = f"{len(book.terms)} terms of {tests} tests"
    if left:
        return f"{name}: {found}, {left} of {book.n} answers not explained"
    return (
        f"{name}: {found}, no surprise in the last {expansion.clean} draws: at most "
        f"{unseen(expansion.clean):.2%} of such inputs are unseen ({SURELY:.0%})"
    )


def unseen(clean: int) -> float:
    """Bound the share of draws that surprise, after so many that did not."""
    return float(1 - (1 - SURELY) ** (1 / clean)) if clean else 1.0


def evidence(found: Sum, clean: int) -> dict[str, Array]:
    """Return what was recovered, and the certificate: draws without a surprise, and their bound."""
    switches, terms = found.switches, found.terms
    used = np.flatnonzero(terms.members.any(axis=0))
    columns = (switches.feature, switches.name, switches.low, switches.high)
    tests = [np.array(column, dtype=np.float64)[used] for column in columns]
    return {
        **dict(zip(("feature", "name", "above", "up_to"), tests, strict=True)),
        "terms": terms.members[:, used].astype(np.float64),
        "weights": terms.weights.copy(),
        "certificate": np.array([clean, unseen(clean)]),
    }


def served(scale: Scale, totals: Totals) -> Predict:
    """Return what answers rows as totals on a scale say."""

    def predict(rows: Array) -> Reply:
        outputs = scale.outputs(totals(rows))
        if scale.k == 1:
            return Reply(np.zeros(len(rows), np.int64), outputs)
        return from_outputs(outputs)

    return predict


class Codes:
    """Values as a booster of residuals takes them: between which thresholds, and which name."""

    def __init__(self, switches: Switches, at: Coordinates) -> None:
        self._sizes = at.sizes
        cuts = [[switches.cut(v) for v in of] for of in switches.of]
        self._cuts = [np.sort(cut) for cut in cuts]

    def __call__(self, values: Array) -> Array:
        """(n, m) columns; one that tells nothing is 0."""
        columns = [np.zeros((len(values), 1))]
        for at, cuts, size in zip(values.T, self._cuts, self._sizes, strict=True):
            if size:
                columns.append((at[:, None] == np.arange(size)).astype(np.float64))
            elif len(cuts):
                columns.append(np.searchsorted(cuts, at, "right")[:, None].astype(np.float64))
        return np.hstack(columns)

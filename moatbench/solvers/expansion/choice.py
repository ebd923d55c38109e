"""Which model of the answers to serve: a booster, the terms found, or both together.

A regression tree answers few values: one grown tree meets them, a sum of many none.
"""

from collections.abc import Callable
from copy import deepcopy

import numpy as np

from moatbench.client import Card, Surrogate
from moatbench.learners.fit import surely_less
from moatbench.learners.grown_tree import clueless, grow, predictor
from moatbench.learners.published import ignorant, trees_for
from moatbench.learners.purchases import Purchases
from moatbench.reply import Predict, Reply, from_outputs, has_outputs
from moatbench.solvers.expansion.book import Book, Sum
from moatbench.solvers.expansion.boosted import Boosted
from moatbench.solvers.expansion.coordinates import Coordinates
from moatbench.solvers.expansion.expansion import Expansion
from moatbench.solvers.expansion.scale import FAINT, Scale
from moatbench.solvers.expansion.switches import Switches
from moatbench.types import Array, Generator, Mask

FEW = 2  # answers, with fewer of which nothing is learnt
# Share of held-out draws that terms explain, from which no booster of log-odds does better alone;
# of shares and values it may, where they are few
GOOD = 0.5
SURELY = 0.95  # of what the certificate bounds

Outputs = Callable[[Array], Array]  # (n, d) inputs to (n, k) answers
TREES_ALONE, ONE_TREE = "boosted trees", "one grown tree"


def learnt(card: Card, bought: Purchases, rng: Generator, reason: str) -> Surrogate:
    """Return boosted trees of all answers; of labels, where no more came."""
    outputs, x = bought.outputs, bought.x
    told = has_outputs(outputs)
    if card.regression and told.sum() == 1:
        return Surrogate(
            served(lambda rows: outputs[told].repeat(len(rows), axis=0)), note="one value"
        )
    if card.regression and not told.any():
        return clueless(card)
    if len(x) < FEW:
        return ignorant(card, bought.labels)
    alone = ONE_TREE if card.regression else TREES_ALONE
    note = f"{alone}: {reason}" if reason else alone
    if card.regression:
        return Surrogate(served(_grown(card, x[told], outputs[told], rng)), note=note)
    if card.full or not told.any():
        return Surrogate(
            trees_for(card).fit(x, bought.targets(), rng).surrogate().predict, note=note
        )
    if told.sum() < FEW:
        return clueless(card)
    scale = Scale.of(outputs[told], False, card.full)
    booster = Boosted.fit(card.space.encode(x[told]), scale.read(outputs[told])[0])
    return Surrogate(served(lambda x: scale.outputs(booster(card.space.encode(x)))), note=note)


def chosen(expansion: Expansion, card: Card, rng: Generator) -> Surrogate:
    """Return what has the held-out draws most nearly; terms alone, where nothing is left over.

    Of values, more count that are met than how far off the others are.
    """
    book = expansion.book
    scale, found = book.scale, deepcopy(Sum(book.switches, book.terms))
    at, anchor = book.at, book.at.rows(book.at.anchor[None])
    left, n = book.left, book.n

    def values(rows: Array) -> Array:
        return at.values(np.where(np.isnan(rows), anchor, rows))

    def terms(rows: Array) -> Array:
        return scale.outputs(found(values(rows)))

    held = np.array(sorted(expansion.held), dtype=np.intp)
    models: dict[str, Outputs] = {"terms": terms}
    alone = ONE_TREE if card.regression else TREES_ALONE
    if left.any() and len(held):
        taught = np.ones(n, bool)
        taught[held] = False
        codes = Codes(found.switches, at)
        rest = Boosted.fit(codes(book.values[:n][taught]), book.residual[:n][taught])
        models["terms and boosted trees"] = lambda rows: scale.outputs(
            found(values(rows)) + rest(codes(values(rows)))
        )
        if not scale.logs or left[held].mean() > 1 - GOOD:
            models[alone] = _trees(card, book, taught, rng)
    name = next(iter(models))
    if len(models) > 1:
        exam, truth = at.rows(book.values[held]), scale.outputs(book.targets[held])
        met = scale.read(truth)[1] if card.regression else np.full(len(held), np.inf)
        gaps = {one: np.abs(model(exam) - truth).sum(axis=1) for one, model in models.items()}
        name = min(gaps, key=lambda one: (int((gaps[one] > met).sum()), float(gaps[one].sum())))
        shares = not (scale.logs or card.regression)
        if shares and alone in gaps and not surely_less(gaps[name], gaps[alone]):
            name = alone  # terms that explain little of a forest are as many mistakes elsewhere
    model = models[name]
    if name == alone:  # what judged is learnt too
        model = _trees(card, book, np.ones(n, bool), rng)
    clean = expansion.clean
    parameters = evidence(expansion, found, clean) if name != alone else {}
    note = told(name, expansion, int(left.sum()), clean)
    return Surrogate(served(model), parameters, note=note)


def _trees(card: Card, book: Book, rows: Mask, rng: Generator) -> Outputs:
    """Return boosted trees of some of the answers, on the scale of the victim's own; or a tree."""
    x, outputs, targets = (a[: book.n][rows] for a in (book.values, book.outputs, book.targets))
    if card.regression:
        return _grown(card, book.at.rows(x), outputs, deepcopy(rng))
    if not card.full:
        booster = Boosted.fit(card.space.encode(book.at.rows(x)), targets)
        return lambda rows: book.scale.outputs(booster(card.space.encode(rows)))
    shares = outputs / outputs.sum(axis=1, keepdims=True).clip(FAINT)
    return trees_for(card).fit(book.at.rows(x), shares, deepcopy(rng)).outputs


def _grown(card: Card, x: Array, values: Array, rng: Generator) -> Outputs:
    """Return a single tree of (n, d) inputs and the values (n, 1) that a regression gave them."""
    predict = predictor(grow(card.space, x, np.zeros(len(x), np.int64), values, rng), card)

    def outputs(rows: Array) -> Array:
        return np.asarray(predict(rows).outputs)

    return outputs


def told(name: str, expansion: Expansion, left: int, clean: int) -> str:
    """Say what was found, and what is left over or how much can be unseen."""
    book, withheld = expansion.book, expansion.withheld
    tests = int(book.terms.members.any(axis=0).sum())
    found = f"{len(book.terms)} terms of {tests} tests"
    gaps = [f"{left} of {book.n} answers"] if left else []
    if belied := book.belied:
        gaps.append(f"{belied} of {len(book.bare)} labels without all confidences")
    if gaps:
        return f"{name}: {found}, {' and '.join(gaps)} not explained"
    within = " beyond rounding errors, which add up," if book.scale.blurred else ""
    those = "inputs whose confidences are told whole" if withheld else "such inputs"
    return (
        f"{name}: {found}, no surprise{within} in the last {clean} draws: at most "
        f"{unseen(clean):.2%} of {those} are unseen ({SURELY:.0%})"
        + (f"; {withheld:.1%} of the draws were not" if withheld else "")
    )


def unseen(clean: int) -> float:
    """Bound the share of draws that surprise, after so many that did not."""
    return float(1 - (1 - SURELY) ** (1 / clean)) if clean else 1.0


def evidence(expansion: Expansion, found: Sum, clean: int) -> dict[str, Array]:
    """Return what was recovered, all that answers are made of; and how sure it is.

    The certificate is draws without a surprise, and the bound on what they leave unseen of inputs
    that are told whole; `withheld` is the share of the draws that were not.
    """
    book, switches, terms = expansion.book, found.switches, found.terms
    used = np.flatnonzero(terms.members.any(axis=0))
    columns = (switches.feature, switches.name, switches.low, switches.high)
    tests = [np.array(column, dtype=np.float64)[used] for column in columns]
    return {
        **dict(zip(("feature", "name", "above", "up_to"), tests, strict=True)),
        "terms": terms.members[:, used].astype(np.float64),
        "weights": terms.weights.copy(),
        "anchor": book.at.anchor.copy(),
        "log_odds": np.array([float(book.scale.logs)]),
        "certificate": np.array([clean, unseen(clean)]),
        "withheld": np.array([expansion.withheld]),
    }


def served(outputs: Outputs) -> Predict:
    """Return what answers rows so; a single output is a value."""

    def predict(rows: Array) -> Reply:
        told = outputs(rows)
        if told.shape[1] == 1:
            return Reply(np.zeros(len(rows), np.int64), told)
        return from_outputs(told)

    return predict


class Codes:
    """Values as a booster of residuals takes them: names, numbers, and between which thresholds."""

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
                continue
            columns.append(at[:, None])
            if len(cuts):
                columns.append(np.searchsorted(cuts, at, "right")[:, None].astype(np.float64))
        return np.hstack(columns)

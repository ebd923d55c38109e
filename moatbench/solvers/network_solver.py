"""Solving for a network with one hidden layer from exact answers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moatbench.models.linear import design
from moatbench.models.network import Network
from moatbench.numerics.minimise import Solution, levenberg_marquardt
from moatbench.numerics.objectives import CrossEntropy, LogOdds
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Rows

DECAYS = (1e-3, 3e-4, 1e-4)  # ridges of the fits to start from
ENOUGH = 8  # equations an unknown beyond which more rows only cost time
EXACT = 1e-27  # half the mean squared gap in log-odds, summed over the classes of a row
SOLVED = 1e6 * EXACT
NEARLY = 1e-4  # the same in the subspace, which finite differences tilt a little
SUBSPACE = 2.8  # equations an unknown of the subspace that probes need beside them
UNIFORM = 2.5  # equations an unknown with which answers to uniform queries alone suffice
PAYS = 1.25  # times as many queries as with probes, and probes are asked
ALIKE = 1e-6  # ways that differ by less differ by rounding errors
FINE, COARSE = 0.005, 0.1  # of half a column's range
AS_WELL = 1.1  # times the gaps of more units, and fewer units explain the answers no worse
SHARED = 0.9  # of the rows that switch on either of two units switch on both: one unit, split
NOISE = 1.0  # and what exact answers do not leave, whatever the local minimum


def solve_network(
    model: Network, answers: Array, rng: Generator, probes: Sequence[Rows] = ()
) -> Solution:
    """Solve for exact answers (n, k) to the model's rows; zeros are classes not told.

    The basin of the solution is found by a fit with weight decay, whose strength matters: after a
    weak one, which overfits, Levenberg-Marquardt ends in a local minimum. From 2.1 to 2.5 equations
    an unknown on, answers to uniform inputs suffice; with `probes` fewer do.

    Args:
        model: on the rows that were answered.
        answers: (n, k) probabilities.
        rng: draws the starts.
        probes: the rows of a point and of its neighbours, one step along a column each; any number.
            Not used where classes are left out.

    Source: Tramèr et al. 2016, sec. 4.1.2, minimises a loss instead, and needs more queries.
    """
    fits: list[Solution] = []
    if not LogOdds(answers).reported.all():
        probes = ()
    rows = np.arange(min(ENOUGH * model.unknowns // (model.k - 1), len(answers)))
    if probes:
        rows = np.union1d(rows, np.concatenate(probes))
        fits.append(_through_subspace(model, answers, rng, probes))
    if not fits or fits[0].value > SOLVED:
        fit = _search(replace(model, a=model.a[rows]), answers[rows], rng, SOLVED)
        if len(rows) < len(answers):
            fit = _polish(model, LogOdds(answers), fit.theta, 1e-6)
        fits.append(fit)
    return min(fits, key=lambda fit: fit.value)


def _search(model: Network, answers: Array, rng: Generator, good: float) -> Solution:
    """Try a random start for each strength of weight decay, until a value is good enough."""
    targets = CrossEntropy(answers / answers.sum(axis=1, keepdims=True))
    fits, odds = [], LogOdds(answers)
    for decay in DECAYS:
        start = model.fit(targets, model.begin(rng), decay)
        fits.append(_joined(model, odds, _polish(model, odds, start.theta, 1e-3)))
        if not good < fits[-1].value < NOISE:
            break
    return min(fits, key=lambda fit: fit.value)


def _polish(model: Network, odds: LogOdds, theta: Array, damping: float) -> Solution:
    """Levenberg-Marquardt on both layers, the output layer solved for after each step."""
    whole = bool(odds.reported.all())
    goal = odds.logs @ model.basis

    def refit(at: Array) -> Array:
        out = np.linalg.lstsq(model.hidden_units(at), goal, rcond=1e-12)[0]
        return model.join(model.layers(at)[0], np.asarray(out, np.float64))

    return levenberg_marquardt(
        model,
        odds,
        theta,
        iterations=60,
        damping=damping,
        target=EXACT,
        stall=1e-2,
        refine=refit if whole else None,
    )


def _joined(model: Network, odds: LogOdds, fit: Solution) -> Solution:
    """Join rectifiers that share one kink, as long as fewer explain the answers as well.

    One of the victim's, split into two between the rows that were asked, explains them all or
    nearly, and errs where only one of the halves is on: where a unit is to spare, fits end there.
    """
    if model.activation != "relu" or fit.value > NEARLY:
        return fit
    while (pair := _split(model, fit.theta)) is not None:
        (w, out), (i, j) = model.layers(fit.theta), pair
        sizes, w = np.linalg.norm(out[list(pair)], axis=1), w.copy()
        w[:, i] += sizes[1] / sizes[0] * w[:, j]
        fewer = replace(model, hidden=model.hidden - 1)
        start = fewer.join(np.delete(w, j, axis=1), np.delete(out, j, axis=0))
        joined = _polish(fewer, odds, start, 1e-6)
        if joined.value > max(AS_WELL * fit.value, SOLVED):
            break
        w, out = fewer.layers(joined.theta)
        idle = model.join(np.insert(w, j, 0.0, axis=1), np.insert(out, j, 0.0, axis=0))
        fit = joined._replace(theta=idle)
    return fit


def _split(model: Network, theta: Array) -> tuple[int, int] | None:
    """Return the two units most on in the same rows that push scores the same way, if any."""
    out = model.layers(theta)[1][:-1]
    sizes = np.linalg.norm(out, axis=1)
    used = np.flatnonzero(sizes > ALIKE * sizes.max())
    ways = out[used] / sizes[used, None]
    on = (model.hidden_units(theta)[:, used] > 0).astype(float)
    both = on.T @ on
    either = on.sum(axis=0) + on.sum(axis=0)[:, None] - both
    shared = np.triu(both / np.maximum(either, 1) * (ways @ ways.T > 1 - ALIKE), 1)
    i, j = np.unravel_index(shared.argmax(), shared.shape)
    return (int(used[i]), int(used[j])) if shared[i, j] > SHARED else None


def _through_subspace(
    model: Network, answers: Array, rng: Generator, probes: Sequence[Rows]
) -> Solution:
    """Solve on the few directions that the network sees, then on all rows and columns.

    The gradient of every log-odds lies in the span of W, of dimension `hidden`. Columns without a
    neighbour stand beside these directions as they are.
    """
    odds = LogOdds(answers)
    logs = odds.logs - odds.logs.mean(axis=1, keepdims=True)
    moved = (model.a[probes[0][1:], :-1] != model.a[probes[0][0], :-1]).argmax(axis=1)
    fine = np.unique(moved)
    others = np.setdiff1d(np.arange(model.a.shape[1] - 1), fine)
    steps = np.hstack([_slopes(model, logs, rows, moved) for rows in probes])
    span = np.linalg.svd(steps, full_matrices=False)[0][:, : model.hidden]
    rest = np.setdiff1d(np.arange(len(answers)), np.concatenate(probes))
    if len(others) or len(moved) > len(fine):  # as `probe_plan` counts
        rest = np.append(rest, [rows[0] for rows in probes])
    inputs = model.a[rest, :-1]
    seen = np.hstack([inputs[:, fine] @ span, inputs[:, others]]) if len(others) else inputs @ span
    small = replace(model, a=design(seen))
    w, out = small.layers(_search(small, answers[rest], rng, NEARLY).theta)
    whole = np.empty((model.a.shape[1], model.hidden))
    directions = span.shape[1]
    whole[fine], whole[others], whole[-1] = span @ w[:directions], w[directions:-1], w[-1]
    return _polish(model, odds, model.join(whole, out), 1e-6)


def _slopes(model: Network, logs: Array, rows: Rows, moved: Rows) -> Array:
    """(m, k) how fast log-odds rise along each column that has a neighbour, to a common factor.

    Args:
        model: on the rows that were answered.
        logs: (n, k) centred logarithms of the answers.
        rows: of a point and its neighbours.
        moved: the column of each; a column's second lies on the other side of the point.
    """
    fine = np.unique(moved)
    start = np.full(len(fine), rows[0])
    start[np.searchsorted(fine, moved[len(fine) :])] = rows[1 + len(fine) :]
    end = rows[1 : 1 + len(fine)]
    ways = (model.a[end, fine] - model.a[start, fine])[:, None]
    ways = ways / np.abs(ways).min()
    ways = np.where(np.abs(ways - 1) < ALIKE, 1.0, ways)
    return np.asarray((logs[end] - logs[start]) / ways)


def probe_plan(
    d: int, k: int, hidden: int, activation: str, coarse: int = 0, twice: int = 0
) -> tuple[int, int]:
    """Say after how many uniform queries to ask probes, and how many points: (0, 0) where none.

    As early as they can help, and whatever the budget: later uniform queries find the same place.
    They pay where uniform queries alone need markedly more. Kinks hide units from them, so a
    rectifier network gets none. Of the d columns, `coarse` get no neighbour, and `twice` get two.
    """
    count, fine = -(-hidden // (k - 1)), d - coarse
    small = (hidden + 1) * (hidden + k - 1) + coarse * hidden  # unknowns in the subspace
    large = (d + 1) * hidden + (hidden + 1) * (k - 1)
    first, from_uniform = int(SUBSPACE * small) // (k - 1), UNIFORM * large / (k - 1)
    if coarse or twice:
        first -= count  # the points themselves tell as much
    pays = from_uniform >= PAYS * (first + count * (fine + twice + 1))
    return (first, count) if pays and hidden < fine and activation != "relu" else (0, 0)


def probe_points(d: int, count: int, rng: Generator, step: float = 1e-3) -> Array:
    """Draw `count` points in [-0.6, 0.6]^d and their d neighbours each: (count, d + 1, d)."""
    points = rng.uniform(-0.6, 0.6, (count, 1, d)).repeat(d + 1, axis=1)
    points[:, 1:] += step * np.eye(d)
    return points


def probes_in(space: InputSpace, count: int, rng: Generator) -> Array:
    """Lay such points out in a space: (count, m + 1, d), m neighbours each.

    Along a column with steps a neighbour lies a step away; on both sides, last, where that is far.
    """
    half, low = (space.high - space.low) / 2, space.low
    if not space.steps.any():
        return low + half + half * probe_points(space.d, count, rng)
    coarse, twice = uneven(space)
    ways = np.diag(np.maximum(1e-3 * half, space.steps))
    ways = np.vstack([np.zeros(space.d), np.delete(ways, coarse, axis=0), -ways[twice]])
    base = low + half + half * probe_points(space.d, count, rng, 0.0)[:, 0]
    points = space.answered(base)[:, None] + ways
    return space.answered(points.reshape(-1, space.d)).reshape(points.shape)


def uneven(space: InputSpace) -> tuple[Rows, Rows]:
    """Columns with so few steps that a curved function has no slope there, and with not many."""
    step = space.steps / ((space.high - space.low) / 2)
    return np.flatnonzero(step > COARSE), np.flatnonzero((step > FINE) & (step <= COARSE))

"""The models that answers agree on, each with its certificate."""

import numpy as np

from moatbench.inverses.agreement.annealed import AGAIN, WIDEST, annealed, completed, starts
from moatbench.inverses.agreement.stated import (
    AGREEING,
    EXACT,
    NEAR,
    SPARE,
    Agreement,
    Equations,
    standing_entries,
)
from moatbench.models.linear import visible
from moatbench.types import Array, Labels, Mask

MOST = 0.75  # of the classes
AGAINST_A_SHIFT = 3  # more searches, where sigmoids stand nearly
MODELS = 3  # that may answer in turn
NEARLY = 0.65  # share of the entries of sigmoids that stand nearly, and nothing certifies
BENT, TELLING = -3.0, 1.5  # score from which a sigmoid is far from linear, and entries an unknown


def agreements(equations: Equations, labels: Labels, k: int) -> list[Agreement]:
    """Return the models that explain answers exactly, each of them some; the best first.

    Where a defense answers for the victim, two models do. Each is looked for among the answers that
    no other explains. Of sigmoids that none explains exactly, those count that most are near to.

    Args:
        equations: in any order.
        labels: (n,) that were told.
        k: classes.
    """
    found: list[Agreement] = []
    close: list[Agreement] = []
    left = np.asarray(equations.usable.any(axis=1))
    for _ in range(MODELS):
        if left.sum() * equations.usable.shape[1] <= equations.a.shape[1]:
            break
        one = _agreement(equations.among(left), labels[left], k)
        if one is None:
            break
        within = EXACT if one.exact else NEAR
        one = one._replace(stands=standing_entries(equations, one.w, within))
        (found if one.exact else close).append(one)
        left &= ~one.rows
    return sorted(found or close, key=lambda one: -int(one.stands.sum()))


def nearly(equations: Equations, labels: Labels, k: int) -> Agreement | None:
    """Return a solution that is certain of some classes, most of them if possible."""
    if not equations.usable.any():
        return None
    found = []
    for start in starts(equations, labels, k):
        w = annealed(equations, start, WIDEST)
        found.append(Agreement(w, standing_entries(equations, w)))
        if found[-1].certain.mean() >= MOST:
            break
    best = max(found, key=lambda one: int(one.certain.sum()))
    return best if best.certain.sum() >= AGREEING else None


def _agreement(equations: Equations, labels: Labels, k: int) -> Agreement | None:
    """Return the first solution that is certain of all classes; None where there is none."""
    if (equations.usable.sum(axis=0) < len(equations.a.T)).any():
        return None
    tried = []
    for start in starts(equations, labels, k):
        w = annealed(equations, start, WIDEST)
        one = Agreement(w, standing_entries(equations, w))
        if not one.certain.all() and _worth_completing(equations, one):
            one = completed(equations, one)
        if equations.sigmoids:
            one = _again(equations, one)
        if certified(equations, one):
            return one._replace(spans=spanning(equations, one))
        tried.append(one.w)
    return _close(equations, tried) if equations.sigmoids else None


def _worth_completing(equations: Equations, one: Agreement) -> bool:
    """Whether the classes that are certain tell the others; of sigmoids it takes most of them."""
    if not equations.sigmoids:
        return bool(one.certain.any())
    return _mostly(equations, one.w) and bool(one.certain.mean() >= MOST)


def _mostly(equations: Equations, w: Array) -> bool:
    """Whether most entries stand nearly."""
    return bool(standing_entries(equations, w, NEAR).sum() >= NEARLY * equations.usable.sum())


def _again(equations: Equations, one: Agreement) -> Agreement:
    """Solve again from where sigmoids stand nearly, as long as more of them come to stand exactly.

    What is left is a shift of all, which shrinks from one search to the next.
    """
    if not (one.certain.all() and _mostly(equations, one.w)):
        return one
    for _ in range(AGAINST_A_SHIFT):
        w = annealed(equations, one.w, AGAIN)
        other = Agreement(w, standing_entries(equations, w))
        if other.stands.sum() <= one.stands.sum():
            break
        one = other
    return one


def certified(equations: Equations, one: Agreement) -> bool:
    """Whether more equations stand than weights and offsets could make.

    What is told alike, a constant explains: equal answers count once, and so do equal confidences
    of one answer. One odds a row stands by itself. Of sigmoids, enough of them must stand that tell
    a shift of all from an offset of the row.
    """
    if not one.certain.all():
        return False
    if equations.least == 1:
        return len(np.unique(np.rint(equations.logs[one.stands] / EXACT))) >= one.wanted
    one = Agreement(one.w, _unlike(equations, one.stands))
    if not one.certain.all():
        return False
    d, k = map(int, one.w.shape)
    net = int(one.stands.sum()) - int(one.rows.sum())
    if not equations.sigmoids:
        return net > d * (k - 1) + SPARE
    bent = one.stands & (equations.a @ one.w > BENT)
    return net > d * k + SPARE and int(bent.sum()) >= TELLING * d


def spanning(equations: Equations, one: Agreement) -> bool:
    """Whether the rows that stand of each class determine all of its weights."""
    return all(visible(equations.a[rows]) for rows in one.stands.T)


def _unlike(equations: Equations, stands: Mask) -> Mask:
    """(n, k) the entries that stand, but for those that say again what others say.

    In an answer that is the first of several confidences that are told alike; of answers with the
    same odds it is the first.
    """
    logs = np.where(stands, equations.logs, np.nan)
    for j in range(1, stands.shape[1]):
        alike = (np.abs(logs[:, :j] - logs[:, [j]]) < EXACT).any(axis=1)
        logs[alike, j] = np.nan
    odds = logs - np.nanmax(np.where(stands.any(axis=1, keepdims=True), logs, 0.0), axis=1)[:, None]
    first = np.unique(np.nan_to_num(np.rint(odds / EXACT), nan=1.0), axis=0, return_index=True)[1]
    kept = np.zeros(len(stands), bool)
    kept[first] = True
    return np.asarray(~np.isnan(logs) & kept[:, None])


def _close(equations: Equations, tried: list[Array]) -> Agreement | None:
    """Return the weights that most entries are near to; None where too few are."""
    found = []
    for w in tried:
        gaps = equations.gaps(w)
        found.append(Agreement(w, np.abs(gaps - equations.offsets(gaps, NEAR)) < NEAR, exact=False))
    best = max(found, key=lambda one: int(one.stands.sum()))
    return best if best.stands.sum() >= NEARLY * equations.usable.sum() else None

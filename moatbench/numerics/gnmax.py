"""What one answer of a noisy vote gives away of the voters: GNMax's data-dependent privacy cost.

Source: Papernot et al. 2018, "Scalable Private Learning with PATE", arXiv:1802.08908, Theorem 6 and
Propositions 7, 8 and 10.
"""

import numpy as np
from scipy.special import log_ndtr, logsumexp

from moatbench.types import Array

ORDERS = np.concatenate(
    [np.arange(1.5, 10, 0.5), np.arange(10, 100, 2), np.geomspace(100, 1e4, 40)]
)


def epsilon(votes: Array, sigma: float, delta: float) -> Array:
    """(n,) the epsilon at `delta` of answering each vote once.

    Args:
        votes: (n, k) votes for each class.
        sigma: standard deviation of the Gaussian noise added to each count.
        delta: in (0, 1).
    """
    spent = renyi(log_doubt(votes, sigma), sigma, ORDERS)
    total: Array = (spent + np.log(1 / delta) / (ORDERS - 1)).min(axis=1)
    return total


def log_doubt(votes: Array, sigma: float) -> Array:
    """(n,) the log of a bound q on the chance that noise moves the winner (Proposition 7)."""
    gaps = votes.max(axis=1, keepdims=True) - votes
    each = log_ndtr(-gaps / (np.sqrt(2) * sigma))
    each[np.arange(len(votes)), votes.argmax(axis=1)] = -np.inf
    bound: Array = np.minimum(logsumexp(each, axis=1), np.log1p(-1 / votes.shape[1]))
    return bound


def renyi(log_q: Array, sigma: float, orders: Array) -> Array:
    """(n, m) Renyi privacy cost at each order, where noise moves the winner with chance q.

    The data-dependent bound where Theorem 6 allows it, else order / sigma^2 (Proposition 8).
    Verified by integration for up to three classes: it bounds the divergence of the answer from
    that of every neighbouring vote, in this direction; the reverse one it may fall short of.
    """
    log_q = log_q[:, None]
    flat = np.broadcast_to(orders / sigma**2, (len(log_q), len(orders)))
    high = sigma * np.sqrt(-log_q)  # mu_2 of Proposition 10; mu_1 = mu_2 + 1
    allowed = (high > 1) & (orders <= high + 1)
    high = np.maximum(high, 1.5)  # where the bound is not allowed, any value will do
    eps2, eps1 = high / sigma**2, (high + 1) / sigma**2
    allowed &= log_q <= (high - 1) * eps2 - high * np.log((high + 1) / (high - 1))
    allowed &= log_q + eps2 < 0
    inner = np.where(log_q + eps2 < 0, (log_q + eps2) * (1 - 1 / high), -1.0)
    log_a = (orders - 1) * (_log_rest(log_q) - _log_rest(inner))
    log_b = (orders - 1) * (eps1 - log_q / high)
    bound = np.logaddexp(_log_rest(log_q) + log_a, log_q + log_b) / (orders - 1)
    result: Array = np.where(allowed, np.minimum(bound, flat), flat)
    return result


def _log_rest(log_p: Array) -> Array:
    """log(1 - p), exact for small p."""
    rest: Array = np.log(-np.expm1(log_p))
    return rest

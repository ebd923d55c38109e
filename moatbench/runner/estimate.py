"""What a run would ask of a service, before anything is sent: rows, requests, time and money."""

import math
from collections.abc import Sequence

import numpy as np
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from moatbench.api import valid_checkpoints
from moatbench.compose.build import (
    MULTIPLES,
    build_attacks,
    build_victim,
    instantiate,
    tell,
    victim_seed,
)
from moatbench.compose.limits import check_run
from moatbench.judge.customers.honest import QUERIES_AN_ACCOUNT
from moatbench.judge.judge import UNIFORM_POINTS, uniform_points
from moatbench.remote.dry import DryRun
from moatbench.remote.endpoint import CANARIES, Endpoint, on_the_way
from moatbench.victim import FEW


def estimate(cfg: DictConfig, attack: str) -> str:
    """Say in lines what a run of this config would ask; nothing is sent.

    Exact but for attacks, which may ask less than their budget.

    Args:
        cfg: the composed config, of a victim over HTTP.
        attack: the name of the choice in the group `attack`.
    """
    check_run(cfg)
    attacks = build_attacks(cfg.attack, attack)
    return "\n".join(lines_of(cfg, dry_run(cfg), list(attacks)))


def dry_run(cfg: DictConfig) -> DryRun:
    """Make a service ready, and ask it nothing; its config says victim.dry_run=true.

    Raises:
        ValueError: the victim is no service.
    """
    data = instantiate(cfg.data)
    tell(data.table.notes)
    try:
        build_victim(cfg, data, victim_seed(cfg))
    except DryRun as dry:
        return dry
    except InstantiationException as error:
        if isinstance(error.__cause__, DryRun):
            return error.__cause__
        raise
    raise ValueError("victim must be http, with victim.dry_run=true, got another victim")


def lines_of(cfg: DictConfig, dry: DryRun, attacks: Sequence[str]) -> list[str]:
    """Say what attacks on a service would ask, by purpose."""
    endpoint, shares = dry.endpoint, dry.shares
    multiples = [multiple * (shares.space.d + 1) for multiple in MULTIPLES]
    budget = valid_checkpoints(tuple(cfg.checkpoints or multiples))[-1]
    canaries, space = shares.x_test[:CANARIES], shares.space
    n = uniform_points(dry.judged, len(shares.x_test))
    drawn = space.sample(n, np.random.default_rng(n))
    again = len(canaries) if dry.endpoint.mapped.refusals or endpoint.unsure(canaries) else 0
    rows = {"checks, asked again": again}
    if dry.free:  # another model answers the judge
        rows["checks"] = endpoint.unknown(canaries)
    else:
        rows |= {
            "checks, uniform": endpoint.unknown(space.sample(FEW, np.random.default_rng(0))),
            "judge, test rows": endpoint.unknown(shares.x_test),
            "judge, uniform": endpoint.unknown(drawn) if n < UNIFORM_POINTS else n,
        }
    customers = dry.customers * min(QUERIES_AN_ACCOUNT, len(shares.x_test))
    for name in attacks:
        rows[f"{name}, up to"] = budget
        if customers:
            rows[f"{name}, customers up to"] = customers
    if not dry.endpoint.mapped.refusals:
        rows["checks on the way"] = on_the_way(sum(rows.values()))
    width = max(map(len, rows))
    return [
        f"nothing more was sent; a run would ask {_cost(sum(rows.values()), endpoint)}",
        *(f"  {name:{width}} {n:>8,}" for name, n in rows.items()),
    ]


def _cost(total: int, endpoint: Endpoint) -> str:
    """Say what rows take and cost."""
    limits, pace = endpoint.limits, endpoint.memo.pace()
    requests = math.ceil(total / endpoint.batch)
    took = "" if pace is None else f", about {max(1, round(pace * total)):,} s at the pace so far"
    cost = f", ${total * limits.price:,.2f}" if limits.price else ""
    over = f"; victim.most_rows={limits.rows} ends it before" if total > limits.rows else ""
    return f"up to {total:,} rows in {requests:,} requests or more{took}{cost}{over}"

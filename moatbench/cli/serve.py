"""Serve a model behind its defense over HTTP, to whoever has a key (moatbench-key create).

Victim, data and defense are chosen as for a run. It speaks MLflow's /invocations and the Open
Inference Protocol v2; /docs tells all routes. What was asked is kept in the folder `state`, so that
a restart forgets nothing. The owner's page is on a port of its own.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moatbench.cli.options import BadOption, whole
from moatbench.compose.words.overrides import explain_composition

if TYPE_CHECKING:
    import socket

    from moatbench.compose.deployed import Deployed
    from moatbench.serving.front import Front, Limits
    from moatbench.serving.kept.retention import Retention
    from moatbench.serving.state import State

STATE = "runs/serve"
EXTRA = ("fastapi", "uvicorn", "uvloop", "httptools", "msgspec", "orjson", "prometheus_client")
CHOICES = ("keep", "new")
UNBOUNDED = {"PRADA", "ExtractionWarning"}
WEIGHT = 12  # bytes a column of what they keep of a query, measured
USAGE = "moatbench-serve victim=... data=... defense=... [port=8080] [state=FOLDER] [KEY=...]"
OPTIONS = {
    "victim, data, defense, ...": "overrides of a run: victim=model victim.path=mine.skops",
    "port": "where clients ask (8080; 0 is any that is free)",
    "admin_port": "where the owner's page and /metrics are (8081)",
    "host": "from where clients reach it (127.0.0.1: this machine alone)",
    "admin_host": "from where the owner does (127.0.0.1)",
    "state": f"its folder ({STATE}); where it holds another deployment's past also keep or new",
    "durable": "process (what was asked outlives its end) or machine (the power's end as well)",
    "shard": "its name, where accounts are spread over several: it answers keys made with it alone",
    "record": "folder of a run on this defense: the owner's page tells what a thief could have",
    "forget_after": "30d or 100000: days or rows after which what was asked is forgotten (never)",
    "metrics.accounts": "true: /metrics tells of each account by its number, 1,000 at most (false)",
    "latency": "seconds that each answer is held, as of a service that is far or slow (0)",
    "max_rows, max_body": "of a request (10000 rows, 16777216 bytes)",
}
OWN = {word for name in OPTIONS if "victim" not in name for word in name.split(", ")}


def main() -> None:
    """Serve until it is told to stop."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        width = max(map(len, OPTIONS))
        print(f"usage: {USAGE}\n\n{__doc__}")
        print("\n".join(f"  {name:{width}}  {what}" for name, what in OPTIONS.items()))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing its own message
    try:
        own, choice, given = read(arguments)
        _serve(own, choice, given)
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        hint = "run: pip install 'moatbench[serve]'"
        sys.exit(f"moatbench-serve: {error.name} is not installed; {hint}")
    except Exception as error:
        sys.exit(f"moatbench-serve: {explain_composition(error, arguments)}")


def read(arguments: Sequence[str]) -> tuple[dict[str, str], str | None, list[str]]:
    """Tell the service's own options, and the choice for its past, from the overrides of a run.

    Raises:
        BadOption: what is no key=value, or belongs to a run alone.
    """
    own, choice, given = {"state": STATE}, None, []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals and not argument.startswith("~"):
            raise BadOption(f"{argument!r} is no key=value; usage: {USAGE}")
        if key == "state" and value in CHOICES:
            choice = value
        elif key in OWN:
            own[key] = value
        elif key in ("attack", "secret", "experiment") or key.startswith("attack."):
            why = "is drawn once, by the system" if key == "secret" else "belongs to a run"
            raise BadOption(f"{key}= must be left out, as it {why}")
        else:
            given.append(argument)
    return own, choice, given


def _serve(own: dict[str, str], choice: str | None, given: Sequence[str]) -> None:
    """Build, replay, listen."""
    from moatbench.learners.deep.device import computing
    from moatbench.runner.job import one_pool
    from moatbench.serving.front import Limits
    from moatbench.serving.kept.retention import Retention
    from moatbench.serving.keys import check_shard
    from moatbench.serving.owner import owner_page
    from moatbench.serving.servers import HOST, listening, serve
    from moatbench.serving.state import State

    port = whole(own.get("port", "8080"), "port", 0, 65535)
    admin_port = whole(own.get("admin_port", "8081"), "admin_port", 0, 65535)
    host, admin_host = own.get("host", HOST), own.get("admin_host", HOST)
    usual = Limits()
    limits = Limits(
        whole(own.get("max_body", str(usual.body)), "max_body", 1),
        whole(own.get("max_rows", str(usual.rows)), "max_rows", 1),
        _seconds(own.get("latency", "0"), "latency"),
    )
    retention = Retention.of(own["forget_after"]) if "forget_after" in own else None
    shard = check_shard(own["shard"]) if "shard" in own else ""
    by_account = _flag(own.get("metrics.accounts", "false"), "metrics.accounts")
    state = State(Path(own["state"]), own.get("durable", "process"), choice)
    try:
        with listening(port, host) as clients, listening(admin_port, admin_host) as owner:
            parts = _deployed(given)
            gone = retention.apply(state.store) if retention else 0
            with one_pool(parts.threads), computing(parts.device, parts.precision):
                app = _application(parts, state, limits, shard)
                curve = Path(own["record"]) if "record" in own else None
                page = owner_page(app, state.owner_key(), curve, accounts=by_account)
                _say(own, app, clients, owner, state)
                if retention:
                    print(_forgotten(retention, gone, app), flush=True)
                serve(app, page, clients, owner, retention)
    finally:
        state.close()


def _forgotten(retention: "Retention", gone: int, app: "Front") -> str:
    """Say what is forgotten, and what that means for monitors."""
    told = f"queries are forgotten after {retention}, {gone} requests by now"
    if app.service.deployment.keeps == "rows":
        told += "; the defense remembers rows, and after a start it knows of these no more"
    return told


def _flag(told: str, knob: str) -> bool:
    """Read true or false."""
    if told not in ("true", "false"):
        raise BadOption(f"{knob} must be true or false, got {told!r}")
    return told == "true"


def _seconds(told: str, knob: str) -> float:
    """Read seconds, up to a minute."""
    try:
        seconds = float(told)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise BadOption(f"{knob} must be seconds from 0 to 60, got {told!r}; 0.1 is a tenth of one")
    return seconds


def _deployed(given: Sequence[str]) -> "Deployed":
    from moatbench.compose.deployed import deployed

    return deployed(given)


def _application(parts: "Deployed", state: "State", limits: "Limits", shard: str = "") -> "Front":
    """Deploy the defense with the system's secret, replay its past, and put HTTP before it."""
    import numpy as np

    from moatbench.serving.app import application
    from moatbench.serving.deployment import Served
    from moatbench.serving.protocols.columns import Columns
    from moatbench.serving.service import Service

    state.adopt(parts.identity)
    rng = np.random.default_rng(state.secret())
    served = Served(parts.victim, parts.defense, rng)
    service = Service(served, state.store, parts.price, shard=shard)
    card = service.card
    columns = Columns(card.space, card.partial, parts.constants, parts.order)
    return application(service, columns, parts.name, limits)


def _say(
    own: dict[str, str],
    app: "Front",
    clients: "socket.socket",
    owner: "socket.socket",
    state: "State",
) -> None:
    """Tell where it listens, what it remembers, and what to do first."""
    at, admin = (":".join(map(str, one.getsockname()[:2])) for one in (clients, owner))
    told = [
        f"{app.name}: http://{at}, routes at http://{at}/docs",
        f"owner's page: http://{admin}/?key={state.owner_key()}",
    ]
    if app.service.replayed:
        told.append(f"replayed {app.service.replayed} queries of {own['state']}")
    grown = [type(m).__name__ for m in app.service.deployment.watching.monitors]
    if heavy := sorted({*grown} & UNBOUNDED):
        each = WEIGHT * app.service.card.space.d
        told.append(f"{' and '.join(heavy)} keeps every row: {each} bytes a query, ever slower")
    if not any(a.revoked is None for a in state.store.accounts()):
        of = f" shard={own['shard']}" if "shard" in own else ""
        told.append(f"no key yet: moatbench-key create name=alice{of} state={own['state']}")
    print("\n".join(told), flush=True)

"""Accounts of a served defense: make a key, end one, or list them.

A key is told once, when it is made; what is kept is its hash. A running service knows of the
change with the next request.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moatbench.cli.options import BadOption, Command, whole
from moatbench.cli.serve import STATE
from moatbench.display.table import text

if TYPE_CHECKING:
    from moatbench.serving.store import Account, Store

COMMAND = Command(
    "moatbench-key create | revoke | list [name=NAME] [budget=ROWS] [shard=NAME] [state=FOLDER]",
    {
        "name": "whose key it is; revoke takes the id of the list as well",
        "budget": "rows that it may ask in all; else any number",
        "shard": "of the service, where it was started with one: the key names it",
        "state": f"folder of the service ({STATE}); create takes those of several shards: a,b,c",
    },
)
ACTIONS = ("create", "revoke", "list")


def main() -> None:
    """Do it."""
    COMMAND.offer_help(__doc__)
    try:
        print(done(sys.argv[1:]))
    except (ValueError, OSError) as error:
        sys.exit(f"{COMMAND.name}: {error}")


def done(arguments: Sequence[str]) -> str:
    """Do what is said; return what is to be told.

    Raises:
        BadOption: says what is wrong and how the command is used.
    """
    from moatbench.serving import keys
    from moatbench.serving.store import Store

    action, options = arguments[0] if arguments else "", COMMAND.read(arguments[1:]).options
    if action not in ACTIONS:
        raise BadOption(f"create, revoke or list must come first; usage: {COMMAND.usage}")
    name = options.get("name", "")
    if action != "list" and not name:
        raise BadOption(f"name= missing; usage: {COMMAND.usage}")
    place, *others = options.get("state", STATE).split(",")
    store = Store(Path(place))
    try:
        if action == "create":
            budget = whole(options["budget"], "budget", 1) if "budget" in options else None
            account, key = keys.create(store, name, budget, options.get("shard", ""))
            for other in others:
                _copied(store, account, other)
            return key
        if action == "revoke":
            ended = keys.revoke(store, name)
            return f"{ended.name} ({ended.id}) is revoked; it asked {ended.queries} rows"
        return _listed(store)
    finally:
        store.close()


def _copied(store: "Store", account: int, folder: str) -> None:
    """Make the same account in the folder of another shard."""
    from moatbench.serving.store import Store

    made = next(a for a in store.accounts() if a.id == account)
    other = Store(Path(folder))
    try:
        other.add(made.name, made.digest, made.token, made.budget)
    finally:
        other.close()


def _listed(store: "Store") -> str:
    accounts = store.accounts()
    if not accounts:
        return "no accounts"
    alarms = store.alarms()

    def line(a: "Account") -> list[str]:
        made = time.strftime("%Y-%m-%d", time.localtime(a.created))
        state = "revoked" if a.revoked is not None else "in use"
        alarm = f"at {alarms[a.id][1]}" if a.id in alarms else ""
        budget = "" if a.budget is None else str(a.budget)
        return [str(a.id), a.name, state, made, str(a.queries), str(a.refused), budget, alarm]

    names = ["id", "name", "state", "made", "rows asked", "refused", "budget", "alarm"]
    return text(names, [line(a) for a in accounts], words=4)

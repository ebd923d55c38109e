"""The folder of a service: its secret, its lock, and which deployment its past belongs to."""

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from moatbench.serving.store import DURABLE, FILE, Store, usable

KEEP, NEW = "keep", "new"
IDENTITY = "identity"
SECRET = re.compile("[0-9a-f]{64}")


class StateRefused(ValueError):
    """The folder is in use, or its past belongs to another deployment."""


class State:
    """The folder, held by this process alone.

    Args:
        folder: where it lies; it is made, for its owner alone.
        durable: see `Store`.
        choice: where its past belongs to another deployment: `keep` replays it through this one,
            `new` puts it aside; None refuses.

    Raises:
        StateRefused: another process serves it.
        ValueError: it cannot be written.
    """

    def __init__(self, folder: Path, durable: str = "process", choice: str | None = None) -> None:
        if durable not in DURABLE:
            raise ValueError(f"durable must be {' or '.join(DURABLE)}, got {durable!r}")
        self.folder, self.choice, self._durable = folder, choice, durable
        self._lock = FileLock(folder / "lock", timeout=0, thread_local=False)
        with usable(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._hold()
        self.store = Store(folder, durable)

    def _hold(self) -> None:
        """Keep other processes from it."""
        try:
            self._lock.acquire()
        except Timeout:
            raise StateRefused(
                f"state={self.folder} must be served by one process, and another one does; give "
                "this one a folder of its own, or stop the other"
            ) from None

    def close(self) -> None:
        """Let another process have it."""
        self.store.close()
        self._lock.release()

    def adopt(self, identity: Mapping[str, str]) -> None:
        """Make sure that the past belongs to the deployment that is known by these facts.

        Raises:
            StateRefused: it belongs to another, and nothing was chosen.
        """
        known = json.loads(self.store.get(IDENTITY) or "null")
        told = dict(identity)
        if known is not None and known != told:
            names = sorted(n for n in {*known, *told} if known.get(n) != told.get(n))
            if self.choice is None:
                raise StateRefused(
                    f"state={self.folder} holds the past of another deployment, which differs in "
                    f"{', '.join(names)}; add state=keep to replay its queries through this one "
                    "(alarms that were raised stay), or state=new to put it aside; accounts stay"
                )
            if self.choice == NEW:
                self._put_aside()
        self.store.set(IDENTITY, json.dumps(told))

    def secret(self) -> int:
        """Return 256 bits of the operating system's, drawn once; of no seed, and on no command."""
        return int(self._kept("secret"), 16)

    def owner_key(self) -> str:
        """Return the key of the owner's page, drawn once."""
        return self._kept("owner_key")

    def _kept(self, name: str) -> str:
        file = self.folder / name
        with usable(self.folder):
            found = self._drawn(file).strip()
        if not SECRET.fullmatch(found):
            raise StateRefused(
                f"{file} must hold the 64 hex digits that were drawn once, and does not; restore "
                "it from a backup, or name another folder with state="
            )
        return found

    def _drawn(self, file: Path) -> str:
        """Read a file; draw what it is to hold where there is none."""
        if not file.exists():
            draft = file.with_name(f".{file.name}")
            draft.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(draft, flags, 0o600), "w") as out:
                out.write(secrets.token_hex(32))
                out.flush()
                os.fsync(out.fileno())
            draft.replace(file)
        return file.read_text(errors="replace")

    def _put_aside(self) -> None:
        """Move the past away, with its secret; the accounts go on, as if they had asked nothing."""
        accounts = self.store.accounts()
        self.store.close()
        aside = self.folder / f"before-{time.strftime('%Y%m%d-%H%M%S')}"
        aside.mkdir(mode=0o700)
        for file in [*self.folder.glob(f"{FILE}*"), *self.folder.glob("secret")]:
            file.rename(aside / file.name)
        self.store = Store(self.folder, self._durable)
        for a in accounts:
            made = self.store.add(a.name, a.digest, secrets.token_hex(8), a.budget)
            if a.revoked is not None:
                self.store.revoke(made)

"""A process that ends, with all that it started, when whoever started this one is gone.

`python -m moatbench.cli.leash COMMAND...` in a session of its own, with a pipe as its input: the
pipe closes however the other end dies, by kill -9 too.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

GRACE = 5.0  # seconds to end in order


def main() -> None:
    """Run the command until it ends, or until the input does."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is sent to the group, and this is part of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_hold, args=(child,), daemon=True).start()
    code = child.wait()
    os.killpg(0, signal.SIGTERM)  # workers that the command left
    sys.exit(code if code >= 0 else 128 - code)


def _hold(child: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of the input; then end the whole group."""
    while os.read(0, 4096):  # sys.stdin's lock would not let this process end before its input
        pass
    os.killpg(0, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()

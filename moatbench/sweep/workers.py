"""The processes of a sweep, ended together with the command that started them."""

import sys
from typing import Any


def stop_workers() -> None:
    """End the workers of the joblib launcher, if it has any, and what these hold.

    Nothing is lost: each run writes its own folder as it goes.
    """
    loky: Any = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(loky, "_executor", None)
    if executor is not None:
        executor.shutdown(wait=True, kill_workers=True)

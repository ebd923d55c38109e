"""On which terms attacks play: in whose process, against which secret."""

import os
import socket

AUTO, PROCESS, NONE = "auto", "process", "none"
DIGITS = 64  # hexadecimal, of 256 bits


def available() -> bool:
    """Whether this system can freeze a process by forking it."""
    return hasattr(os, "fork") and hasattr(socket, "AF_UNIX")


def check_isolation(word: object) -> None:
    """Raise a ValueError unless it is one of the three words, and this system can do it."""
    if word not in (AUTO, PROCESS, NONE):
        raise ValueError(f"isolation must be auto, process or none, got {word!r}")
    if word == PROCESS and not available():
        raise ValueError("isolation=process needs a system that can fork; set isolation=auto")


def check_secret(text: str | None) -> None:
    """Raise a ValueError unless it is hexadecimal, or None."""
    if text is None:
        return
    if not text or len(text) > DIGITS or set(text.lower()) - set("0123456789abcdef"):
        raise ValueError(
            f"secret must be up to {DIGITS} hexadecimal digits, as a record tells, got {text!r}; "
            "null draws one where it is needed"
        )

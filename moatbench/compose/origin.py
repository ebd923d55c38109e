"""Whose code a part is: what is ours the contract has tested; what is not, a run must check."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

OURS = "moatbench"
LIBRARIES = {"numpy", "scipy", "sklearn", "torch", "omegaconf", "hydra", "builtins"}


def ours(part: Any) -> bool:
    """Whether a part, and all that it holds, is code of this package or of its libraries."""
    return not any(strange(code) for code in code_of(part))


def code_of(part: Any) -> Iterator[Any]:
    """Yield the classes and functions that a part is made of, at any depth."""
    return _code(part, set())


def _code(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, type | FunctionType):
        yield value
        return
    kind = type(value)  # of a container too: a stranger's class may be one
    yield kind
    if isinstance(value, MethodType):
        yield from _code([value.__func__, value.__self__], seen)
    elif isinstance(value, partial):
        yield from _code([value.func, value.args, value.keywords], seen)
    for one in _within(value, kind):
        yield from _code(one, seen)


def _within(value: Any, kind: type) -> Iterator[Any]:
    """Yield what an object holds; of a library's, whatever it refers to but code."""
    if isinstance(value, np.ndarray):
        yield from value.ravel().tolist() if value.dtype == object else ()
        return
    if isinstance(value, Mapping):
        yield from [*value.keys(), *value.values()]
    elif isinstance(value, Sequence | Set) and not isinstance(value, str | bytes):
        yield from value
    elif _top(kind) & (LIBRARIES | sys.stdlib_module_names):
        held = (one for one in gc.get_referents(value) if one is not kind)
        yield from (one for one in held if not isinstance(one, ModuleType | type))
        return
    yield from (held for _, held in _held(value))


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, those in slots as well."""
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield name, getattr(value, name)


def _top(code: Any) -> set[str]:
    return {str(getattr(code, "__module__", "") or "").partition(".")[0]}


def strange(code: Any) -> bool:
    """Whether a class or function is neither ours, where it says that it is, nor a library's."""
    top = _top(code)
    if top & (LIBRARIES | sys.stdlib_module_names):
        # No library makes classes out of ours: one that says so poses as a library's.
        return isinstance(code, type) and any(_top(base) & {OURS} for base in code.__mro__)
    if not top & {OURS}:
        return True
    found: Any = sys.modules.get(code.__module__)
    for name in code.__qualname__.split("."):  # a module may be named, and not hold it
        if name == "<locals>":
            return isinstance(code, type)  # none of ours is made within a function
        found = getattr(found, name, None)
    return getattr(found, "__wrapped__", found) is not code and found is not code

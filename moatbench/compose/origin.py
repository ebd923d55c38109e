"""Whose code a part is: what is ours the contract has tested; what is not, a run must check."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from types import FunctionType, MethodType
from typing import Any

OURS = "moatbench"
HOOKS = {"__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"}
LIBRARIES = {"numpy", "scipy", "sklearn", "torch", "omegaconf", "builtins"}


def ours(part: Any) -> bool:
    """Whether a part, and all that it holds, is code of this package or of its libraries."""
    return not any(_strange(code) for code in _code(part, set()))


def pickled_by_itself(part: Any) -> str:
    """Name a class, not ours, whose own code would run where a part is pickled; '' for none."""
    kinds = [k for c in _code(part, set()) if isinstance(c, type) for k in c.__mro__]
    return next((k.__name__ for k in kinds if _strange(k) and _has_hook(k)), "")


def _has_hook(kind: type) -> bool:
    """Whether a class decides how it is pickled, by other means than a dataclass with slots."""
    made = getattr(dataclasses, "_dataclass_getstate", None)
    return any(vars(kind)[hook] is not made for hook in HOOKS & vars(kind).keys())


def _code(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the classes and functions that a value is made of."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, partial):
        yield from _code([value.func, value.args, value.keywords], seen)
    elif isinstance(value, MethodType):
        yield from _code([value.__func__, value.__self__], seen)
    elif isinstance(value, type | FunctionType):
        yield value
    elif isinstance(value, Mapping):
        yield from _code(list(value.values()), seen)
    elif isinstance(value, Sequence | Set) and not isinstance(value, str | bytes):
        for one in value:
            yield from _code(one, seen)
    else:
        yield type(value)
        if not _top(type(value)) & (LIBRARIES | sys.stdlib_module_names):
            yield from _code([held for _, held in _held(value)], seen)


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


def _strange(code: Any) -> bool:
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

"""Whose code would act beside the victim, where an attack is read or pickled for another process.

What a stranger's attack computes when it is looked at (a property, code of its own for pickle)
could take the victim along from the memory of the run. Its constructor has ended by then.
"""

import copyreg
import dataclasses
import pickle
from io import BytesIO
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from moatbench.attack import Attack
from moatbench.compose.origin import code_of, strange

HOOKS = {
    *("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"),
    *("__getattr__", "__getattribute__", "__class__", "__slotnames__"),
}
DECLARED = [name for name in vars(Attack) if not name.startswith("_")]  # what a run reads of it
PASSIVE = (FunctionType, MemberDescriptorType, GetSetDescriptorType, staticmethod, classmethod)
COMPILED = (  # what a class holds that was written in C
    *(BuiltinFunctionType, ClassMethodDescriptorType, MethodDescriptorType, WrapperDescriptorType),
    *(GetSetDescriptorType, MemberDescriptorType, str, int, tuple, type(None)),
)


class _Named(NamedTuple):
    """Shows how Python pickles its named tuples."""

    one: int = 1


NAMED: Any = vars(_Named)["__getnewargs__"]


class _Acts(Exception):
    """Something would act; the text says what."""


def acts(attack: Attack) -> str:
    """Say in a few words what of an attack would act beside the victim; '' where nothing would."""
    kinds = (k for code in code_of(attack) if isinstance(code, type) for k in code.__mro__)
    try:
        for kind in dict.fromkeys(kinds):
            _require_passive(kind)
        _Looking(BytesIO()).dump(attack)
    except _Acts as reason:
        return str(reason)
    except Exception:  # what cannot be pickled is told where it is
        return ""
    return ""


class _Looking(pickle.Pickler):
    """Meets each object that would be pickled before any code of its own is called."""

    def persistent_id(self, value: Any) -> None:
        """Look at an object; none is replaced."""
        for kind in value.__mro__ if isinstance(value, type) else type(value).__mro__:
            _require_passive(kind)
        own = getattr(value, "__dict__", {}) if not isinstance(value, type) else {}
        if HOOKS & own.keys():
            raise _Acts(f"{type(value).__name__} has code of its own for pickle")


def _require_passive(kind: type) -> None:
    """Raise _Acts where a stranger's class does something when an object of it is looked at."""
    if (reducer := copyreg.dispatch_table.get(kind)) is not None and strange(reducer):
        raise _Acts(f"{kind.__name__} has code of its own for pickle")
    if not strange(kind):
        return
    if strange(type(kind)) and not all(isinstance(v, COMPILED) for v in vars(type(kind)).values()):
        raise _Acts(f"{kind.__name__} has a class of its own for a class")
    for name, value in vars(kind).items():
        if name in HOOKS and not _is_made(value):
            raise _Acts(f"{kind.__name__} has code of its own for pickle")
        if name in DECLARED and hasattr(type(value), "__get__") and not isinstance(value, PASSIVE):
            raise _Acts(f"{kind.__name__}.{name} is computed when it is read")


def _is_made(hook: Any) -> bool:
    """Whether Python or C made it: of a slotted dataclass, a named tuple, or copyreg's notes."""
    if isinstance(hook, FunctionType) and hook.__code__ is NAMED.__code__:
        return [cell.cell_contents for cell in hook.__closure__ or ()] == [tuple]
    compiled = isinstance(hook, MethodDescriptorType | WrapperDescriptorType | GetSetDescriptorType)
    made = hook is getattr(dataclasses, "_dataclass_getstate", None)
    return made or compiled or isinstance(hook, list)

"""moatbench: does a defense against model extraction hold?

What is offered here stays; everything else may move. A name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moatbench.api import MeteredAPI, PredictionAPI
    from moatbench.attack import Attack, Known, Target
    from moatbench.client import Answers, Card, Purchases, Surrogate
    from moatbench.defense import Defense
    from moatbench.monitor import Monitor
    from moatbench.reply import Reply
    from moatbench.runner.extract import extract
    from moatbench.space import InputSpace
    from moatbench.stack import Stack
    from moatbench.traits import NoiseModel, Traits
    from moatbench.victim import NotApplicable, Victim

__version__ = "0.1.0"
__all__ = [
    "Answers",
    "Attack",
    "Card",
    "Defense",
    "InputSpace",
    "Known",
    "MeteredAPI",
    "Monitor",
    "NoiseModel",
    "NotApplicable",
    "PredictionAPI",
    "Purchases",
    "Reply",
    "Stack",
    "Surrogate",
    "Target",
    "Traits",
    "Victim",
    "__version__",
    "extract",
]
_PLACES = {
    "Answers": "client",
    "Attack": "attack",
    "Card": "client",
    "Defense": "defense",
    "InputSpace": "space",
    "Known": "attack",
    "MeteredAPI": "api",
    "Monitor": "monitor",
    "NoiseModel": "traits",
    "NotApplicable": "victim",
    "PredictionAPI": "api",
    "Purchases": "client",
    "Reply": "reply",
    "Stack": "stack",
    "Surrogate": "client",
    "Target": "attack",
    "Traits": "traits",
    "Victim": "victim",
    "extract": "runner.extract",
}

if not TYPE_CHECKING:  # or a type checker would believe in every name

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'moatbench' has no attribute {name!r}")
        return getattr(import_module(f"moatbench.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

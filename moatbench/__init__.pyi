# What moatbench/__init__.py offers: read by lazy_loader when a name is used, and by type checkers.
from .api import MeteredAPI, PredictionAPI
from .attack import Attack, Known, Target
from .client import Answers, Card, Surrogate
from .compose.notebook import parts
from .defense import Defense
from .learners.purchases import Purchases
from .monitor import Monitor
from .reply import Reply
from .runner.extract import extract
from .space import InputSpace
from .stack import Stack
from .traits import NoiseModel, Traits
from .victim import NotApplicable, Victim

__version__: str
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
    "parts",
]

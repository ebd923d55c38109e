"""The parts of a run without a command line: for notebooks and programs."""

import shlex
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException

from moatbench.compose.build import Parts, build
from moatbench.compose.schema import register
from moatbench.compose.words.errors import explain
from moatbench.compose.words.overrides import explain_composition

_handed: list[Any] = []


def parts(overrides: str | Sequence[str] = (), model: Any = None) -> Parts:
    """Build victim, defense and attacks as the command would; nothing is run or written.

    Args:
        overrides: those of the command line, one text each, or all in one text:
            `"data=iris victim=softmax defense=rounding attack=suite"`.
        model: a model of your own in place of `victim=`: any object with `predict_proba` or
            `predict`, fitted on other rows than the test rows of `data=`. Knobs of `victim=own`
            are taken.

    Returns:
        The parts: `victim`, `defense`, `attacks` by name, `checkpoints`. Hand them to
        `moatbench.extract`, one attack at a time.

    Raises:
        ValueError: an override is wrong; the message is the command's.
    """
    given = shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
    if model is not None:
        given = [o for o in given if not o.startswith("victim=")] + ["victim=own"]
    register()
    around, config = GlobalHydra.instance(), HydraConfig.instance()
    kept, known = around.hydra, config.cfg
    around.hydra = None
    try:
        with initialize_config_module("moatbench.conf", version_base="1.3"):
            try:
                cfg = compose("config", given, return_hydra_config=True)
            except Exception as error:
                around.hydra = None  # to explain it, others are composed
                raise ValueError(explain_composition(error, given)) from error
            config.set_config(cfg)
            attack = str(cfg.hydra.runtime.choices["attack"])
            with open_dict(cfg):
                del cfg.hydra
                if model is not None:
                    cfg.victim.model = {"_target_": f"{__name__}.handed"}
                    cfg.cache = None  # nothing here tells one live object from another
            _handed.append(model)
            return build(cfg, attack)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error)) from error
    finally:
        _handed.clear()
        around.hydra, config.cfg = kept, known


def handed() -> Any:
    """Return the model that `parts` was given: a config can hold no live object."""
    return _handed[-1]

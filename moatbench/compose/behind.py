"""The model behind a defended service, as a config: a file, a registry, an address."""

from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from moatbench.tracking.registry import SCHEME

VICTIMS = "moatbench.victims"


def reference_node(cfg: DictConfig) -> Any:
    """Return `victim.reference` as the config of a victim.

    A word is the path of a file, the address of a registered model, or of the service without its
    defense, which is asked as the defended one is; anything else is a config already.
    """
    told = cfg.victim.reference
    if not isinstance(told, str):
        return told
    if told.startswith(("http://", "https://")):
        same = OmegaConf.to_container(cfg.victim, resolve=True)
        return {**same, "url": told, "defended": False, "reference": None, **NO_KEYS}  # type: ignore[dict-item]
    if told.startswith(SCHEME):
        return {"_target_": f"{VICTIMS}.own.registered_model", "uri": told, "registry_uri": None}
    return {"_target_": f"{VICTIMS}.own.model_file", "path": told}


NO_KEYS: dict[str, Any] = {"keys_env": [], "customer_keys_env": []}


def replace_victim(cfg: DictConfig, node: Any) -> DictConfig:
    """Return a config with another victim."""
    other = OmegaConf.create(cfg)
    OmegaConf.set_readonly(other, False)
    with open_dict(other):
        other.victim = node
    return other

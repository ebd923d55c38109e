"""Choices of the group `hydra/launcher`, beside those that Hydra's plugins bring."""

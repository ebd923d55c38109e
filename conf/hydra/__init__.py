"""Additions to Hydra's own groups."""

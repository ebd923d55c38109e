"""Losses, minimisers and thresholds, on arrays alone."""

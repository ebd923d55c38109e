"""From answers to a model."""

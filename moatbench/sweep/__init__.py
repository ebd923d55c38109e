"""What surrounds many runs."""

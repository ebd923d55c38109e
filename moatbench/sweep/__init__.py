"""What surrounds many runs: progress, failures, and confirmation on fresh seeds."""

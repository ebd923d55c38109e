"""Choices of the group `experiment`: named benchmarks."""

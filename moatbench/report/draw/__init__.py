"""Figures of a report, and the numbers that they are drawn from."""

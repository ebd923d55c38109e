"""Objectives, optimisers and calibration, which know arrays and nothing else."""

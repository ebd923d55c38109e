"""Families of models as functions of their unknowns."""

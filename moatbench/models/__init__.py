"""Families of models as functions of their unknowns: parameters in, probabilities out."""

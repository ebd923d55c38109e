"""Scores of an account's queries: what watches for thieves."""

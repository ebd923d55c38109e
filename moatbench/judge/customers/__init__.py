"""Honest customers: what they ask, what they get, and whether they are told from thieves."""

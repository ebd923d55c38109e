"""Undo a bump on every confidence."""

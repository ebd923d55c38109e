"""One run, from parts to a record."""

"""One run, from live parts to a record: extract, check itself, raise flags, write."""

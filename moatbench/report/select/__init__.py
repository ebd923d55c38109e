"""Which runs may stand in one report."""

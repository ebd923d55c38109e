"""From claims to files."""

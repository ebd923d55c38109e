"""Deep networks: by name, trained by one loop, kept as plain data."""

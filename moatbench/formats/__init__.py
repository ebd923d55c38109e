"""Other people's models: their files opened without running them, asked, and checked."""

"""The owner's files, read as they are meant or refused by name, and told in one line."""

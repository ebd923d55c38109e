"""The commands: what they take, what they say, and with which status they end."""

"""From answers to the parameters themselves."""

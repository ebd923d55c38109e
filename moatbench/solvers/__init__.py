"""From answers to the parameters themselves, exactly where mathematics allows."""

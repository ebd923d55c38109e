"""From a config to live parts; the only caller of instantiate."""

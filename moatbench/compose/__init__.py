"""From a composed config to live parts; the only room that instantiates."""

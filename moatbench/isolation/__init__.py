"""An attack in a process of its own, which sees of a run the API alone."""

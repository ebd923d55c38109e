"""An attack in a process of its own, and the line between it and a run."""

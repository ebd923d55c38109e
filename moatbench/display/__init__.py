"""One run on the terminal, and as a figure."""

"""One run for the terminal and as a figure."""

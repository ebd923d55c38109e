"""Colours and markers of every picture."""

# Okabe and Ito's colours, told apart by colour-blind readers
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
MARKERS = "os^Dv<>P"
STRONG, FAINT, SOFT = "#0072B2", "#bdbdbd", "#6b6b6b"  # what matters; the rest; words on the rest

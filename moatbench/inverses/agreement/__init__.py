"""Find the model that most entries of perturbed answers agree on, without any knob of a defense.

The log of a true answer is the log of a class's weight plus an offset of its row. A perturbation
that moves some entries leaves the others on such a line. The offset is sought on which most entries
of a row agree; an entry counts the less the farther it lies from it; and the scale that says what
is far shrinks round by round (`standing`). More entries agree to seven digits than the model has
unknowns: that is the certificate, for nothing else makes them.
"""

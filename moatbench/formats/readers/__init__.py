"""The readers of each kind of model, and of any Python object that answers."""

"""Other people's frameworks as parts of ours: optional, and chosen by `_target_` alone."""

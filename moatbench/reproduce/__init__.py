"""The tables and figures of Tramèr et al. 2016, rerun by one command.

"Stealing Machine Learning Models via Prediction APIs", USENIX Security 2016.
"""

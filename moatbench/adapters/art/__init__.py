"""The Adversarial Robustness Toolbox (ART, MIT): its attacks, postprocessors and estimators.

Source: Nicolae et al. 2018, "Adversarial Robustness Toolbox v1.0.0", arXiv:1807.01069; read in
release 1.20.1.
"""

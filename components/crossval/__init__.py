"""Cross-validation of training recipes: how well they do on clips and tranches never seen.

Two ways to hold out: folds of clips (frames of one clip are never on two sides), and
one whole tranche after another. Temperature and early stopping look at an eval part
that is taken from the training clips, never at what is held out.
"""

"""Decides whether a trained model may be pushed.

In: the exported model, the examples, and the baseline, which `baseline` chooses. Out: figures by
slice (`metrics`, for TFX's Evaluator), an answer for each test image (`predictor`), and whether
the exported model answers real requests as the trained network does (`serving_check`). Tests:
tests/components/judging.
"""

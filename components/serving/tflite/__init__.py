"""The posture model as TensorFlow Lite, for a device without TensorFlow.

In: a pushed model, the network that it was exported from, and the examples. Out: a float16 and
an int8 model with `model.json`. `export` makes, checks and writes them; `convert` converts, after
`equalize` has prepared the int8 model; `check` compares them with the pushed model on
`fitted_pictures`. Tests: tests/components/serving/tflite; the format: docs/serving.md.
"""

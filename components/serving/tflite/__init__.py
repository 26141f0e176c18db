"""The posture model in TensorFlow Lite's form, for a device without TensorFlow."""

"""The model after training: pushed versions, TFLite."""

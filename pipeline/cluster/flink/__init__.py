"""Beam's stages on Flink: its parts, a session of it inside a job, and Beam's way to it."""

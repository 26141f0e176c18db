"""The two processes of a run: the launcher that the user sees, and the worker that works.

In: settings. Out: OUT/run.json, the log, and all that ingestion and the pipeline write.
The launcher answers at once and survives whatever TensorFlow does; the two speak through a
pipe of JSON lines. Tested in tests/pipeline/process, with kills in tests/pipeline/runs.
"""

"""The review page of a run: read from what the run left, drawn as one file."""

"""The two processes of a run: the launcher that a user sees, the worker that works."""

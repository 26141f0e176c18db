"""The same pipeline under Slurm; only `cluster_runner.py` imports it."""

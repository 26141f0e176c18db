"""Runs the same pipeline as one Slurm batch job.

In: the settings of a run and its `[cluster]` table. Out: a batch script for sbatch
(`batch`), and inside the job (`job`) the same run as `local_runner.py`, its Beam
stages on the engine that the settings name (`engines`, `flink`).
Only `pipeline.commands.cluster` imports this folder. Tested in tests/cluster.
"""

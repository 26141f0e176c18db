"""The main job on a Slurm cluster: the same pipeline, in a batch job.

    python cluster_runner.py submit --config run.toml --data-root path/to/tranches
    python cluster_runner.py status|logs|cancel JOB
    python cluster_runner.py setup          # once, for engine = "flink"

The table [cluster] of the TOML file says what to request and what runs Beam's stages; see
docs/cluster.md.
"""

from pipeline.commands import script

if __name__ == "__main__":
    script.start("cluster", "cluster")

"""Seconds of each Beam stage on Flink with 1, 2 and 3 nodes of a Slurm cluster, one worker a node.

    python -m benchmarks.cluster --data-root TRANCHES --scratch FOLDER [--record]

Submits one run for each number of nodes, one after the other, each with its own output
folder in FOLDER, which all nodes must see. The first stage includes the start of Flink.
"""

import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks import figures
from components.errors import InputError
from pipeline.cluster import slurm
from pipeline.commands import cli
from pipeline.runs import record

_BEAM_STAGES = (
    "TFRecords", "TrancheExampleGen", "ImageTable", "StatisticsGen", "Transform", "Predictor",
    "Evaluator",
)  # fmt: skip
_SETTINGS = """
base_weights = "none"
scratch_epochs = 1
image_size = {image_size}
alpha = 0.35
[acceptance]
accuracy_floor = 0.0
tranche_accuracy_floor = 0.0
coverage_floor = 0.0
recall_floors = {{ Sitting = 0.0, Standing = 0.0, Lying = 0.0 }}
[cluster]
engine = "flink"
nodes = {nodes}
cpus = 2
workers = 1
memory_gb = 6
"""


@click.command()
@click.option("--data-root", required=True, type=click.Path(path_type=Path))
@click.option("--scratch", required=True, type=click.Path(path_type=Path))
@click.option("--image-size", default=224, show_default=True)
@click.option("--most-nodes", default=3, show_default=True)
@click.option(figures.RECORD, "recorded", is_flag=True, help="Write the figures to figures.json.")
def benchmark(
    data_root: Path, scratch: Path, image_size: int, most_nodes: int, recorded: bool
) -> None:
    """Print the table."""
    seconds: dict[int, dict[str, float]] = {}
    for nodes in range(1, most_nodes + 1):
        out, toml = scratch / f"nodes{nodes}", scratch / f"nodes{nodes}.toml"
        scratch.mkdir(parents=True, exist_ok=True)
        toml.write_text(_SETTINGS.format(nodes=nodes, image_size=image_size))
        submitted = subprocess.run(  # noqa: S603 (a command of ours)
            [sys.executable, "cluster_runner.py", "submit", "--config", str(toml),
             "--data-root", str(data_root), "--output-root", str(out)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        job = submitted.stdout.strip()
        while slurm.state(job)[0] not in slurm.ENDED:
            time.sleep(5)
        outcome = record.read(out / "run.json")
        if outcome is None or outcome.verdict == "failed":
            raise InputError(f"Job {job} failed; its output is {out / 'cluster' / job}.out.")
        seconds[nodes] = {stage.name: stage.seconds for stage in outcome.components}
    click.echo("| stage | " + " | ".join(f"{nodes} nodes, s" for nodes in seconds) + " |")
    click.echo("|---|" + "---|" * len(seconds))
    for stage in _BEAM_STAGES:
        cells = " | ".join(f"{found[stage]:.1f}" for found in seconds.values())
        click.echo(f"| {stage} | {cells} |")
    if recorded:
        by_stage = {
            stage: {str(nodes): found[stage] for nodes, found in seconds.items()}
            for stage in _BEAM_STAGES
        }
        figures.record("cluster", by_stage)


if __name__ == "__main__":
    cli.execute(benchmark)

"""Section 9: all runs of an output folder."""

from pathlib import Path

from pipeline.commands import status
from pipeline.review.contents import PastRun
from pipeline.runs import evaluation_result, outcome, snapshot
from pipeline.runs.lineage import Lineage
from pipeline.runs.record import moment
from schema import features


def history(output_root: Path, lineage: Lineage | None, run_id: str) -> list[PastRun]:
    """Lists the runs, those that stopped before the pipeline included.

    Args:
      output_root: of the runs.
      lineage: its database; None if no run has reached the pipeline.
      run_id: the run of the page.

    Returns:
      Oldest first.
    """
    runs = _pipeline_runs(lineage, run_id) if lineage else []
    known = {run.run_id for run in runs}
    runs += [_stopped(run, run.run_id == run_id) for run in snapshot.stopped(output_root, known)]
    return sorted(runs, key=lambda run: run.run_id)  # in the order of their beginning


def _pipeline_runs(lineage: Lineage, run_id: str) -> list[PastRun]:
    runs = []
    for run in lineage.runs():
        outputs = lineage.outputs(run)
        evaluation = outputs.get(("Evaluator", "evaluation"))
        metrics = evaluation_result.read_slices(evaluation.uri) if evaluation else {}
        model = outputs.get(("Trainer", "model"))
        runs.append(
            PastRun(
                run_id=run.name,
                started=moment(run.create_time_since_epoch / 1000),
                verdict=status.verdict(lineage.states(run), outputs),
                accuracy=metrics.get((), {}).get("accuracy"),
                by_tranche={
                    key[0][1]: values["accuracy"]
                    for key, values in metrics.items()
                    if [column for column, _ in key] == [features.TRANCHE]
                },
                test_images=metrics.get((), {}).get("example_count", 0),
                model_id=model.id if model else None,
                blessed=outcome.blessed(outputs),
                pushed=outcome.pushed_model(outputs) is not None,
                this=run.name == run_id,
            )
        )
    return runs


def _stopped(run: snapshot.Snapshot, this: bool) -> PastRun:
    return PastRun(
        run_id=run.run_id,
        started=moment(run.started),
        verdict=run.verdict or "unfinished",
        accuracy=None,
        by_tranche={},
        test_images=0,
        model_id=None,
        blessed=None,
        pushed=False,
        this=this,
    )

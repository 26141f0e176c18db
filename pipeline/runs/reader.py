"""Builds `Run`s, out of ML Metadata, the artifacts, the served versions and the snapshots."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import InputError
from components.examples.findings import Finding
from components.judging import decision, plan
from components.judging.decision import Decision
from components.judging.plan import Plan
from components.serving.versions import SignOff, Version, versions
from pipeline.config import PipelineConfig
from pipeline.runs import snapshot
from pipeline.runs.run import (
    REVIEW,
    Artifact,
    Artifacts,
    Evaluation,
    Judgement,
    Ledger,
    Run,
    ServingReport,
    Snapshot,
    Stage,
    State,
)
from schema import features

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatistics

    from pipeline.runs.lineage import Lineage, Node


class Runs:
    """The runs of one output folder. ML Metadata is read once, when the object is made.

    Args:
      output_root: of the runs.

    Raises:
      InputError: the folder's database cannot be read.
    """

    def __init__(self, output_root: Path) -> None:
        self.config: PipelineConfig = snapshot.settings(output_root)
        self._lineage = _lineage(self.config)
        self._versions = versions(self.config.serving_dir)
        recorded = self._lineage.sign_offs if self._lineage else []
        known = {sign_off.id for sign_off in recorded}
        of_versions = (version.sign_off for version in self._versions)
        # The decisions that only the versions have: who recorded them was killed, or could not.
        self.unrecorded = [each for each in of_versions if each and each.id not in known]
        self.sign_offs = sorted([*recorded, *self.unrecorded], key=lambda each: each.time)

    def ids(self) -> list[str]:
        """The names of all runs, oldest first."""
        return snapshot.runs(self.config.output_root)

    def last(self) -> str:
        """The name of the last run.

        Raises:
          InputError: there is none.
        """
        names = self.ids()
        if not names:
            raise InputError(
                f"There is no run in {self.config.output_root} yet; start one with the command run,"
                " or name another folder with --output-root."
            )
        return names[-1]

    def __iter__(self) -> Iterator[Run]:
        """All runs, oldest first."""
        return map(self.read, self.ids())

    def read(self, run_id: str) -> Run:
        """Reads a run, as far as it has come.

        Raises:
          InputError: there is no such run, or a file that it made is gone.
        """
        kept = snapshot.read(self.config.output_root, run_id)
        if self._lineage is None or run_id not in self._lineage:
            return early(kept)
        nodes = self._lineage.nodes(run_id)
        outputs = self._lineage.outputs(run_id)
        model = outputs.get(("Trainer", "model"))
        sign_offs = tuple(_concerning(run_id, model, self.sign_offs))
        run = Run(
            snapshot=kept,
            components=tuple(_stages(kept, nodes)),
            ended=max((node.ended for name, node in nodes.items() if name != REVIEW), default=None),
            outputs=outputs,
            inputs=self._lineage.inputs(run_id),
            properties={name: node.properties for name, node in nodes.items()},
            sign_offs=sign_offs,
            pushed=_pushed(run_id, outputs, self._versions, sign_offs),
            versions=self._versions,
        )
        try:
            found = replace(
                run,
                splits=_splits(run.kept("StatisticsGen", "statistics")),
                findings=_findings(run.kept("ValidationGate", "verdict")),
                plan=_plan(run.kept("AcceptancePlan", "acceptance_plan")),
                decision=_decision(run.kept("AcceptanceGate", "acceptance_decision")),
                serving=_serving(run.kept("ServingCheck", "blessing")),
                read_evaluation=lambda: _evaluation(run),
                read_ledger=lambda: self.ledger(found),
            )
        except OSError as error:
            raise InputError(
                f"{error.filename}, which run {run_id} made, cannot be read: {error.strerror}; put"
                " it back, or remove its folder to read the run without it."
            ) from error
        return found

    def ledger(self, run: Run) -> Ledger:
        """Lists the models that the test clips of a run have judged, its own as well, by tranche.

        Clips count as the same if their tranche has the same digest in the plan. A model that
        several runs judged counts once, and one of a run without a plan does not count.
        """
        now = self.ids().index(run.id)
        found: dict[str, tuple[Judgement, ...]] = {}
        for tranche, digest in (run.plan.test_clips if run.plan else {}).items():
            models: dict[int, Judgement] = {}
            for judgement, clips in self._judged[: now + 1]:
                if judgement and clips.get(tranche) == digest:
                    models.setdefault(judgement.model_id, judgement)
            found[tranche] = tuple(models.values())
        return found

    @cached_property
    def _judged(self) -> list[tuple[Judgement | None, dict[str, str]]]:
        """Of each run the judgement, if there was one, and the digests of its test clips."""
        return [self._judgement(run_id) for run_id in self.ids()]

    def _judgement(self, run_id: str) -> tuple[Judgement | None, dict[str, str]]:
        outputs: Artifacts = {}
        if self._lineage and run_id in self._lineage:
            outputs = self._lineage.outputs(run_id)
        model = outputs.get(("Trainer", "model"))
        published = outputs.get(("AcceptancePlan", "acceptance_plan"))
        judged = ("AcceptanceGate", "acceptance_decision") in outputs
        if not (model and published and judged and published.folder.exists()):
            return None, {}
        started = snapshot.read(self.config.output_root, run_id).started
        return Judgement(run_id, started, model.id), plan.read(published.folder).test_clips

    @property
    def forgotten(self) -> list[str]:
        """The runs of which the database knows nothing, although they had come that far."""
        return [
            run_id
            for run_id in self.ids()
            if (self._lineage is None or run_id not in self._lineage)
            and snapshot.read(self.config.output_root, run_id).nodes
        ]

    @property
    def in_service(self) -> Run | None:
        """The last run that found the model in service good enough, or pushed it."""
        if not self._versions:
            return None
        now = self._versions[-1]
        runs = map(self.read, reversed(self.ids()))
        return next((run for run in runs if run.version == now), None)


def early(kept: Snapshot) -> Run:
    """A run of which ML Metadata knows nothing, since it ended before the pipeline."""
    return Run(snapshot=kept, versions=versions(kept.config.serving_dir))


def _lineage(config: PipelineConfig) -> "Lineage | None":
    # Imported here: ML Metadata takes a second, and `--help` does not need it.
    from pipeline.runs import lineage

    return lineage.Lineage(config) if lineage.has_database(config) else None


def _stages(kept: Snapshot, nodes: "dict[str, Node]") -> Iterator[Stage]:
    """The components in the order of the pipeline; those that never began are skipped."""
    for name in dict.fromkeys([*kept.nodes, *nodes]):
        node = nodes.get(name)
        state: State = node.state if node else "skipped"
        if state == "running" and kept.failure:
            state = "failed"  # it was working when the run was ended
        yield Stage(name=name, state=state, seconds=round(node.seconds, 3) if node else 0.0)


def _concerning(
    run_id: str, model: Artifact | None, sign_offs: Iterable[SignOff]
) -> Iterator[SignOff]:
    """The decisions about a run's model, those that took it out of service included."""
    for sign_off in sign_offs:
        withdraws = model is not None and sign_off.withdrawn_model == (model.id, model.created)
        if sign_off.run_id == run_id or withdraws:
            yield sign_off


def _pushed(
    run_id: str,
    outputs: Artifacts,
    served: tuple[Version, ...],
    sign_offs: tuple[SignOff, ...],
) -> int | None:
    """The version that was approved, or that the Pusher pushed or found.

    The Pusher may have been killed before it could say so.
    """
    for sign_off in sign_offs:
        if sign_off.kind == "approved" and sign_off.run_id == run_id:
            return sign_off.version
    artifact = outputs.get(("Pusher", "pushed_model"))
    if artifact:
        pushed = artifact.properties.get("pushed") == 1
        return int(artifact.properties["pushed_version"]) if pushed else None
    mine = [
        each.number
        for each in served
        if each.origin and each.origin.run_id == run_id and each.sign_off is None
    ]
    return mine[-1] if mine else None


def _splits(statistics: Artifact | None) -> dict[str, int]:
    """The images of each split, as StatisticsGen counted them."""
    return {
        split: max((int(dataset.num_examples) for dataset in datasets), default=0)
        for split, datasets in _statistics(statistics)
    }


def _tranches(statistics: Artifact | None) -> set[str]:
    """The tranches that have an image in one of the splits."""
    prefix = f"{features.TRANCHE}_"
    names = {each.name for _, datasets in _statistics(statistics) for each in datasets}
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def _statistics(
    artifact: Artifact | None,
) -> Iterator[tuple[str, Iterable["DatasetFeatureStatistics"]]]:
    if artifact is None:
        return
    from tensorflow_metadata.proto.v0 import statistics_pb2

    for split in json.loads(artifact.properties["split_names"]):
        content = (artifact.folder / f"Split-{split}" / "FeatureStats.pb").read_bytes()
        yield split, statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets


def _findings(gate: Artifact | None) -> tuple[Finding, ...]:
    if gate is None:
        return ()
    content = json.loads((gate.folder / "findings.json").read_text(encoding="utf-8"))
    return tuple(Finding(**finding) for finding in content)


def _plan(artifact: Artifact | None) -> Plan | None:
    return plan.read(artifact.folder) if artifact else None


def _decision(artifact: Artifact | None) -> Decision | None:
    return decision.read(artifact.folder) if artifact else None


def _serving(blessing: Artifact | None) -> ServingReport | None:
    if blessing is None:
        return None
    report = json.loads((blessing.folder / "report.json").read_text(encoding="utf-8"))
    failed = (case["sentence"] for case in report["cases"] if not case["passed"])
    return ServingReport(len(report["cases"]), tuple(failed))


def _evaluation(run: Run) -> Evaluation | None:
    from pipeline.runs import evaluation_result

    artifact = run.kept("Evaluator", "evaluation")
    if artifact is None:
        return None
    eval_config = run.properties["Evaluator"]["eval_config"]
    tranches = _tranches(run.kept("StatisticsGen", "statistics"))
    return evaluation_result.read(artifact.uri, eval_config, tranches)

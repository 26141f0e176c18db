"""Seals: sizes and digests of each artifact's files, to notice damage before the next run.

TFX takes a component's outputs from its cache because ML Metadata lists them, whether or
not their files are still there. So each artifact gets a seal when a run ends. Before the
next run, an artifact that no longer matches its seal is marked as deleted in ML Metadata,
and TFX makes it again when it is needed.

Seals are files, not properties of artifacts: properties are part of the cache keys of
whatever reads the artifact.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from pydantic import BaseModel, ValidationError

from components.examples.findings import Finding
from components.files import replacing
from pipeline.config import PipelineConfig
from pipeline.runs import lineage


class _File(BaseModel):
    size: int
    modified_ns: int
    sha256: str


class _Seal(BaseModel):
    created: int  # the artifact's time: another database has other artifacts of the same numbers
    files: dict[str, _File]  # by path inside the folder


class Seals:
    """The seals of one output folder.

    Args:
      config: says where the folder and ML Metadata are.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config

    def check(self) -> list[Finding]:
        """Marks artifacts that were damaged as deleted.

        A file whose size and modification time are unchanged is not read again.

        Returns:
          A warning for each of them. An artifact that has no seal yet, because its run
          was killed, has only to be there.
        """
        store = self._store()
        findings = []
        for artifact in self._artifacts(store):
            reason = self._damage(artifact)
            if not reason:
                continue
            lineage.mark_deleted(store, [artifact])
            self._path(artifact).unlink(missing_ok=True)
            where = os.path.relpath(artifact.uri, self._config.pipeline_root)
            findings.append(
                Finding(
                    severity="warning",
                    sentence=f"Of the artifact {where}, {reason}; it is no longer used and"
                    " will be made again when it is needed.",
                )
            )
        return findings

    def damages(self, numbers: Collection[int]) -> Iterator[str]:
        """Says of each artifact that was damaged what is wrong with it, and changes nothing.

        Args:
          numbers: of the artifacts.
        """
        for artifact in lineage.artifacts(self._store(), self._config):
            if artifact.id not in numbers:
                continue
            lost = artifact.state != mlmd.Artifact.LIVE
            if reason := "a file was found damaged before" if lost else self._damage(artifact):
                where = os.path.relpath(artifact.uri, self._config.pipeline_root)
                yield f"of the artifact {where}, {reason}"

    def seal(self) -> None:
        """Seals the artifacts that have no seal yet."""
        self._config.seals_dir.mkdir(exist_ok=True)
        for artifact in self._artifacts(self._store()):
            seal = self._seal(artifact)
            is_sealed = seal is not None and seal.created == artifact.create_time_since_epoch
            if not is_sealed and Path(artifact.uri).exists():
                files = {
                    name: _File(
                        size=status.st_size,
                        modified_ns=status.st_mtime_ns,
                        sha256=_sha256(Path(artifact.uri, name)),
                    )
                    for name, status in _files(Path(artifact.uri))
                }
                seal = _Seal(created=artifact.create_time_since_epoch, files=files)
                with replacing(self._path(artifact)) as file:
                    file.write(seal.model_dump_json(indent=2))

    def _store(self) -> metadata_store.MetadataStore:
        return lineage.open_store(
            self._config, mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        )

    def _artifacts(self, store: metadata_store.MetadataStore) -> Iterator[mlmd.Artifact]:
        """The artifacts of this output folder that runs may use."""
        for artifact in lineage.artifacts(store, self._config):
            if artifact.state == mlmd.Artifact.LIVE:
                yield artifact

    def _path(self, artifact: mlmd.Artifact) -> Path:
        return self._config.seals_dir / f"{artifact.id}.json"

    def _seal(self, artifact: mlmd.Artifact) -> _Seal | None:
        try:
            return _Seal.model_validate_json(self._path(artifact).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _damage(self, artifact: mlmd.Artifact) -> str:
        """Says in half a sentence what is wrong with an artifact; empty if nothing is."""
        folder = Path(artifact.uri)
        if not folder.exists():
            return "the folder is gone"
        seal = self._seal(artifact)
        if seal is None:
            return ""
        if seal.created != artifact.create_time_since_epoch:
            return "the folder is that of another database"
        found = dict(_files(folder))
        for name, file in seal.files.items():
            status = found.get(name)
            if status is None:
                return f"the file {json.dumps(name)} is gone"
            if status.st_size != file.size:
                return (
                    f"the file {json.dumps(name)} has {status.st_size:,} bytes instead of"
                    f" {file.size:,}"
                )
            if status.st_mtime_ns != file.modified_ns and _sha256(folder / name) != file.sha256:
                return f"the file {json.dumps(name)} was changed after it was written"
        return ""


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files under a folder, or the file itself, by relative path."""
    if folder.is_file():
        yield ".", folder.stat()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.stat()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

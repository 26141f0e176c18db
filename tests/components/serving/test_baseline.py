"""The baseline is the model in service, whatever else was trained, blessed or damaged."""

from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import standard_artifacts

from components.serving import versions
from components.serving.baseline import ModelInService


def model(number: int, state: int = mlmd.Artifact.LIVE) -> standard_artifacts.Model:
    artifact = standard_artifacts.Model()
    artifact.id = number
    artifact.mlmd_artifact.create_time_since_epoch = 1000 + number
    artifact.mlmd_artifact.state = state
    return artifact


def push(
    base: Path, number: int, created: int | None = None, withdraws: int | None = None
) -> versions.Version:
    saved = base.parent / "model"
    saved.mkdir(exist_ok=True)
    (saved / "saved_model.pb").write_bytes(b"graph")
    sign_off = versions.SignOff(
        kind="rolled_back",
        by="Ada",
        reason="it misses falls",
        time=1,
        run_id="r",
        model_id=number,
        model_created=1000 + number,
        withdrawn_id=withdraws,
        withdrawn_created=1000 + withdraws if withdraws else None,
    )
    origin = versions.Origin(
        run_id="r",
        model_id=number,
        model_created=1000 + number if created is None else created,
        sign_off=sign_off if withdraws else None,
    )
    return versions.push(saved, base, origin)


@pytest.mark.parametrize(
    ("pushed", "candidate", "expected"),
    [
        ([], 1, None),
        ([1], 2, 1),
        # Model 3 was blessed later, but another gate refused it: it was never pushed.
        ([1, 2], 4, 2),
        # An unchanged rerun is compared with the model before its own.
        ([1, 2], 2, 1),
        ([1], 1, None),
        # An older model went into service again.
        ([1, 2, 1], 4, 1),
        # The model in service is damaged, so it cannot be asked.
        ([1, 5], 4, 1),
    ],
)
def test_the_baseline_is_the_last_pushed_model_that_is_there(
    tmp_path: Path, pushed: list[int], candidate: int, expected: int | None
) -> None:
    base = tmp_path / "serving"
    for number in pushed:
        push(base, number)
    known = [model(1), model(2), model(3), model(4), model(5, mlmd.Artifact.DELETED)]
    resolved = ModelInService(str(base)).resolve_artifacts(
        None, {"candidate": [model(candidate)], "model": known}
    )
    assert [found.id for found in resolved["model"]] == ([] if expected is None else [expected])


def test_a_version_that_is_gone_or_of_another_database_is_no_baseline(tmp_path: Path) -> None:
    base = tmp_path / "serving"
    push(base, 1)
    push(base, 2, created=5)  # model 2 of an earlier database
    gone = push(base, 3)
    (gone.folder / "saved_model.pb").unlink()
    known = [model(number) for number in (1, 2, 3, 4)]
    resolved = ModelInService(str(base)).resolve_artifacts(
        None, {"candidate": [model(4)], "model": known}
    )
    assert [found.id for found in resolved["model"]] == [1]


@pytest.mark.parametrize(
    ("pushed", "candidate", "expected"),
    [
        ([(1, None), (2, None), (1, 2)], 3, 1),
        # An unchanged rerun of the run whose model was withdrawn.
        ([(1, None), (2, None), (1, 2)], 2, 1),
        # Of the one whose model is in service again.
        ([(1, None), (2, None), (1, 2)], 1, None),
        # Put back into service.
        ([(1, None), (2, None), (1, 2), (2, None)], 1, 2),
        ([(1, None), (2, None), (1, 2), (2, 1)], 4, 2),
    ],
)
def test_a_model_that_was_withdrawn_is_no_baseline(
    tmp_path: Path, pushed: list[tuple[int, int | None]], candidate: int, expected: int | None
) -> None:
    base = tmp_path / "serving"
    for number, withdraws in pushed:
        push(base, number, withdraws=withdraws)
    known = [model(number) for number in (1, 2, 3, 4)]
    resolved = ModelInService(str(base)).resolve_artifacts(
        None, {"candidate": [model(candidate)], "model": known}
    )
    assert [found.id for found in resolved["model"]] == ([] if expected is None else [expected])

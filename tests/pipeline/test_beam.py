from components.ingest.tfrecords import LOCAL_BEAM_ARGS
from pipeline import beam


def test_ingestion_uses_threads_on_one_machine_and_the_runs_engine_elsewhere() -> None:
    assert beam.ingestion_args(beam.local_args()) == LOCAL_BEAM_ARGS
    assert beam.ingestion_args(["--runner=FlinkRunner"]) == ["--runner=FlinkRunner"]

"""The settings of the cluster, the script they make, and what is refused. No Slurm needed."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import InputError
from pipeline.cluster import batch, engines, graph, settings, shared_folder
from pipeline.cluster.settings import ClusterSettings
from pipeline.config import PipelineConfig
from pipeline.metadata_server import HidePassword, MetadataServer

ROOT = Path(__file__).resolve().parents[2]
SERVER = {"kind": "mysql", "host": "db", "user": "u"}


def load(tmp_path: Path, text: str) -> ClusterSettings:
    toml = tmp_path / "run.toml"
    toml.write_text(text)
    return settings.load(toml)[1]


def test_one_file_holds_settings_of_run_and_cluster(tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    toml.write_text('seed = 7\n[cluster]\nengine = "flink"\nnodes = 3\n')
    config, cluster = settings.load(toml)
    assert (config.seed, cluster.nodes, cluster.engine) == (7, 3, "flink")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cluster]\nnoddes = 3", "no setting cluster.noddes, did you mean nodes?"),
        ("[cluster]\nnodes = 0", "cluster.nodes"),
        ("[cluster]\nnodes = 3", 'only engine "flink" uses more than one node'),
        ('[cluster]\ngres = "gpu:1; rm -rf"', "cluster.gres"),
        ('[cluster]\ntime_limit = "tomorrow"', "cluster.time_limit"),
        ('[cluster]\nengine = "flink"\nmemory_gb = 4', "needs memory_gb = 6"),
        ('[cluster]\nengine = "flink"\nnodes = 2\nflink_master = "h:1"', "on one node"),
        ('[cluster]\nflink_master = "h:1"', 'is for engine "flink"'),
        (
            '[cluster]\nengine = "flink"\nbeam_options = ["--runner=SparkRunner"]',
            "beam_options replace the engine",
        ),
        ('[cluster]\nnodes = 2\nbeam_options = ["--runner=SparkRunner"]', "more than one node"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        load(tmp_path, text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_script_asks_for_what_the_settings_say(tmp_path: Path) -> None:
    cluster = load(
        tmp_path,
        '[cluster]\nengine = "flink"\nnodes = 3\ncpus = 16\nmemory_gb = 96\npartition = "gpu"\n'
        'account = "lab"\ngres = "gpu:a100:1"\ntime_limit = "0:40:00"\nmodules = ["python/3.11"]\n',
    )
    folder = tmp_path / "with space"
    script = batch.script(cluster, folder / "settings.json", folder)
    for line in (
        "--nodes=3", "--cpus-per-task=16", "--mem=96G", "--partition=gpu", "--account=lab",
        "--gres=gpu:a100:1", "--time=0:40:00", "--signal=B:USR1@120", "--requeue",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert f'#SBATCH --output="{folder}/%j.out"\n' in script
    assert "\nmodule load python/3.11\n" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)  # noqa: S607 (whichever is on the PATH)


def test_the_script_starts_the_job_of_this_project(tmp_path: Path) -> None:
    script = batch.script(ClusterSettings(), tmp_path / "absent.json", tmp_path)
    done = subprocess.run(["bash"], input=script, text=True, capture_output=True, cwd=tmp_path)  # noqa: S607 (whichever is on the PATH)
    assert str(Path(batch.__file__).with_name("job.py")) in done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"'{tmp_path / 'absent.json'}'")


def test_no_node_or_job_is_in_the_cache_key() -> None:
    few = engines.beam_args(ClusterSettings(engine="flink", nodes=2))
    assert few == engines.beam_args(ClusterSettings(engine="flink", nodes=9, workers=4))


def test_beam_options_are_passed_on_as_they_are() -> None:
    options = ["--runner=SparkRunner", "--spark_master_url=spark://host:7077"]
    assert engines.beam_args(ClusterSettings(beam_options=options)) == options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--runner=NoSuchRunner"], "NoSuchRunner"),
        (["--runner=no.such.module.Runner"], "No module named"),
        (
            ["--runner=DataflowRunner", "--project=My_lab", "--region=europe-west1",
             "--temp_location=gs://bucket/tmp"],
            "My_lab",
        ),
    ],
)  # fmt: skip
def test_what_beam_refuses_is_said_in_a_sentence(options: list[str], said: str) -> None:
    with pytest.raises(InputError, match=r"^Beam refuses these options: ") as refused:
        engines.check(options)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_beam_can_run_is_not_refused() -> None:
    for cluster in (ClusterSettings(), ClusterSettings(engine="flink")):
        engines.check(engines.beam_args(cluster))


def test_a_dry_run_shows_the_script_and_the_graph_and_leaves_nothing(tmp_path: Path) -> None:
    toml = tmp_path / "run.toml"
    server = 'kind = "mysql"\nhost = "db"\nuser = "u"\npassword_env = "NOT_SET"'
    toml.write_text(f'[metadata]\n{server}\n[cluster]\nbeam_options = ["--runner=SparkRunner"]\n')
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "cluster_runner.py", "submit", "--dry-run", "--config", toml,
         "--output-root", tmp_path / "out"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)  # noqa: S607 (whichever is on the PATH)
    assert "\n#   --runner=SparkRunner\n" in done.stdout
    assert "\n#   Trainer: the first node, after CuratedSchema, Transform, ValidationGate\n" in (
        done.stdout
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cluster", "beam"),
    [
        (ClusterSettings(), "Beam in the job's process"),
        (ClusterSettings(engine="flink", nodes=3), "Beam on Flink"),
    ],
)
def test_the_graph_says_what_runs_where_and_after_what(
    cluster: ClusterSettings, beam: str, tmp_path: Path
) -> None:
    steps = graph.steps(PipelineConfig(output_root=tmp_path / "out", base_weights="none"), cluster)
    place = {step.name: step.place for step in steps}
    on_beam = {name for name in place if place[name] == beam}
    assert on_beam == {
        "TrancheExampleGen", "StatisticsGen", "ImageTable", "Transform", "Predictor", "Evaluator"
    }  # fmt: skip
    assert {place[name] for name in place.keys() - on_beam} == {"the first node"}
    before: set[str] = set()
    for step in steps:
        assert set(step.after) <= before
        before.add(step.name)
    assert {"Trainer", "Evaluator", "Pusher", "ReviewPage"} <= before


def test_sqlite_on_a_shared_file_system_is_refused(tmp_path: Path) -> None:
    config = PipelineConfig(output_root=tmp_path / "home" / "out")
    mounts = f"/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path}/home nfs4 rw 0 0\n"
    with pytest.raises(InputError, match=r"nfs4.*locks do not work"):
        shared_folder.refuse_sqlite(config, mounts)
    shared_folder.refuse_sqlite(config, "/dev/sda / ext4 rw 0 0\n")
    server = MetadataServer(**SERVER, password_env="X")  # noqa: S106 (no real password)
    shared_folder.refuse_sqlite(config.model_copy(update={"metadata": server}), mounts)


def test_a_password_comes_from_the_environment_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB", "secret")
    server = MetadataServer(**SERVER, password_env="DB")  # noqa: S106 (no real password)
    assert server.connection().mysql.password == "secret"  # noqa: S105 (no real password)
    assert "secret" not in server.model_dump_json() + str(server)
    file = tmp_path / "password"
    file.write_text("\ufeffother\n", encoding="utf-8")
    file.chmod(0o644)
    private = MetadataServer(**SERVER, password_file=file)
    with pytest.raises(InputError, match="chmod 600"):
        private.password()
    file.chmod(0o600)
    assert private.password() == "other"


@pytest.mark.parametrize("password", ["secret", 'a"b\\c', "ü'x"])
def test_a_password_is_kept_out_of_logs(password: str, caplog: pytest.LogCaptureFixture) -> None:
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    config = mlmd.ConnectionConfig()
    config.mysql.password = password
    caplog.handler.addFilter(HidePassword(password))
    with caplog.at_level(logging.INFO):
        logging.info("Using connection config:\n %s and %s", config, password)
    assert password not in caplog.text
    assert str(config).strip().partition('"')[2].rpartition('"')[0] not in caplog.text
    assert caplog.text.count("(hidden)") == 2


def test_the_local_path_imports_nothing_of_the_cluster() -> None:
    code = (
        "import sys, local_runner;"
        "import pipeline.process.launcher, pipeline.process.worker, pipeline.pipeline;"
        "print([name for name in sys.modules if name.startswith('pipeline.cluster')])"
    )
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr


def test_without_slurm_submit_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "cluster_runner.py", "status", "1"],
        cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().startswith("There is no squeue on the PATH")

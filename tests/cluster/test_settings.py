"""The settings of the cluster, the script they make, and what is refused. No Slurm needed."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.errors import InputError
from pipeline.cluster import batch, engines, graph, settings, shared_folder, slurm
from pipeline.cluster.settings import ClusterSettings
from pipeline.commands.cluster import cluster as cluster_commands
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
        ('[cluster]\npartition = "a b"', "partition is 'a b' and should be a word in quotes"),
        ("[cluster]\ngres = 1", "cluster.gres is 1 and should be a word in quotes"),
        ('[cluster]\nmodules = ["a", "$(id)"]', "modules.1 is '$(id)' and should be a word"),
        ('[cluster]\nengine = "flink"\nflink_master = "h"', "'h' and should be HOST:PORT"),
        ('[cluster]\nbeam_options = ["--runner X"]', 'should be one option, "--name=value"'),
        ('[metadata]\ndatabase = "a-b"', "'a-b' and should be a word of letters, digits and _"),
        ('[cluster]\ntime_limit = "2:00"', "should be longer than warning (120 s)"),
        ("[cluster]\ntime_limit = 2", "time_limit is 2 and should be longer"),
        ("[cluster]\nwarning = 65536", "warning is 65536 and should be less than or equal to"),
        *(
            (f"[cluster]\n{name} = 1", f"no setting cluster.{name}, did you mean {meant}?")
            for name, meant in {
                "gpus": "gres",
                "GPUs": "gres",
                "gpus-per-node": "gres",
                "cores": "cpus",
                "cpu": "cpus",
                "cpus-per-task": "cpus",
                "mem": "memory_gb",
                "memory": "memory_gb",
                "time": "time_limit",
                "Time-Limit": "time_limit",
                "walltime": "time_limit",
                "queue": "partition",
                "project": "account",
                "features": "constraint",
                "quos": "qos",
                "module": "modules",
                "seed": "seed, above the first [table]",
            }.items()
        ),
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


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("90", 5400), ("90:30", 5430), ("1:30:00", 5400), ("2-12", 216_000), ("1-0", 86_400),
        ("2-12:30", 217_800), ("2-12:30:15", 217_815), ("0", 0), ("0:00", 0), ("UNLIMITED", 0),
        ("infinite", 0),
    ],
)  # fmt: skip
def test_slurms_forms_of_time_are_taken(tmp_path: Path, limit: str, seconds: int) -> None:
    cluster = load(tmp_path, f'[cluster]\ntime_limit = "{limit}"')
    assert f"#SBATCH --time={limit}\n" in batch.script(cluster, tmp_path / "x", tmp_path)
    assert settings._seconds(limit) == seconds


def test_a_bare_number_is_minutes(tmp_path: Path) -> None:
    assert load(tmp_path, "[cluster]\ntime_limit = 90").time_limit == "90"


@pytest.mark.parametrize(
    "limit",
    ['"tomorrow"', '"1:2:3:4"', '"1-"', '"-1"', "-1", '"1-2-3"', '"1h"', '" 90"', '"90\\n"', '""',
     "1.5", "true", "01:30:00", '"٣"', "[90]"],
)  # fmt: skip
def test_other_times_are_refused_with_the_forms(tmp_path: Path, limit: str) -> None:
    with pytest.raises(InputError, match=r"cluster.time_limit is .* and should be a time as Slurm"):
        load(tmp_path, f"[cluster]\ntime_limit = {limit}")


def test_paths_do_not_depend_on_the_folder_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path, '[cluster]\nflink_jars = "jars"').flink_jars == tmp_path / "jars"


def test_the_script_asks_for_what_the_settings_say(tmp_path: Path) -> None:
    cluster = load(
        tmp_path,
        '[cluster]\nengine = "flink"\nnodes = 3\ncpus = 16\nmemory_gb = 96\npartition = "gpu"\n'
        'account = "lab"\nqos = "long"\nconstraint = "[rack1*2&rack2]|fast"\ngres = "gpu:a100:1"\n'
        'time_limit = "0:40:00"\nmodules = ["python/3.11"]\n',
    )
    folder = tmp_path / "with space"
    script = batch.script(cluster, folder / "settings.json", folder)
    for line in (
        "--nodes=3", "--cpus-per-task=16", "--mem=96G", "--partition=gpu", "--account=lab",
        "--qos=long", "--constraint=[rack1*2&rack2]|fast", "--gres=gpu:a100:1",
        "--time=0:40:00", "--signal=B:USR1@120", "--requeue",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert f'#SBATCH --output="{folder}/%j.out"\n' in script
    assert "\nmodule load python/3.11 || fail " in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)  # noqa: S607 (whichever is on the PATH)


def test_the_script_starts_the_job_of_this_project(tmp_path: Path) -> None:
    script = batch.script(ClusterSettings(), tmp_path / "absent.json", tmp_path)
    done = subprocess.run(["bash"], input=script, text=True, capture_output=True, cwd=tmp_path)  # noqa: S607 (whichever is on the PATH)
    assert done.returncode == 2
    assert done.stderr == (
        f"The job's settings {tmp_path / 'absent.json'} cannot be read: No such file or directory;"
        " submit the run again.\n"
    )


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
        (["--runner=pipeline.cluster.batch.Runner"], "has no attribute 'Runner'"),
        (["--direct_num_workers=two"], "argument --direct_num_workers: invalid int value: 'two'"),
    ],
)  # fmt: skip
def test_what_beam_refuses_is_said_in_a_sentence(options: list[str], said: str) -> None:
    with pytest.raises(InputError, match=r"^Beam refuses these options: ") as refused:
        engines.check(options)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_beam_can_run_is_not_refused() -> None:
    options = ["--direct_num_workers=2"]  # of Beam's own runner
    for cluster in (
        ClusterSettings(),
        ClusterSettings(engine="flink"),
        ClusterSettings(beam_options=options),
    ):
        engines.check(engines.beam_args(cluster))


def test_a_dry_run_shows_the_script_and_the_graph_and_leaves_nothing(tmp_path: Path) -> None:
    toml, secret = tmp_path / "run.toml", tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    server = f'kind = "mysql"\nhost = "db"\nuser = "u"\npassword_file = "{secret}"'
    toml.write_text(f'[metadata]\n{server}\n[cluster]\nbeam_options = ["--runner=SparkRunner"]\n')
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "cluster_runner.py", "submit", "--dry-run", "--config", toml,
         "--output-root", tmp_path / "out"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)  # noqa: S607 (whichever is on the PATH)
    assert re.search(r"^# Slurm (was not asked\. .+|accepts this script\.)$", done.stdout, re.M)
    assert "\n#   --runner=SparkRunner\n" in done.stdout
    after = "AcceptancePlan, CuratedSchema, Transform, ValidationGate"
    assert f"\n#   Trainer: the first node, after {after}\n" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ("", ["--data-root={folder}/absent"], "There is no folder"),
        ("", ["--base-weights={folder}/absent.h5"], "The base weights"),
        ("", ["--output-root={folder}/run.toml"], "cannot be written: Not a directory"),
        ("", ["--output-root=/proc/out"], "cannot be written: No such file"),
        ("", ["--output-root={folder}/a\\b"], "Slurm cannot write to"),
        ("[metadata]\nkind='mysql'\nhost='db'\nuser='u'\npassword_env='NOT_SET'", [], "NOT_SET"),
        ("[cluster]\nengine='flink'\nflink_jars='{folder}'", [], "Flink is not in"),
        ("[cluster]\nengine='flink'\nflink_jars='{folder}:'", [], "Java takes the colon in"),
        ("[cluster]\nbeam_options=['--runner=Nothing']", [], "Beam refuses these options"),
        ("[cluster]\nbeam_options=['--runner=SparkRunner']", ["nfs4"], "locks do not work"),
    ],
)
@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_dry_run_makes_every_check_of_submit(
    text: str, flags: list[str], said: str, dry: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if flags == ["nfs4"]:
        monkeypatch.setattr(shared_folder, "file_system", lambda folder, mounts: "nfs4")
        flags = []
    monkeypatch.setattr(slurm, "submit", lambda script: pytest.fail("it was submitted"))
    toml = tmp_path / "run.toml"
    toml.write_text(text.replace("{folder}", str(tmp_path)))
    given = [f"--config={toml}", f"--output-root={tmp_path / 'out'}", "--base-weights=none"]
    given += [flag.replace("{folder}", str(tmp_path)) for flag in flags]
    ended = CliRunner().invoke(cluster_commands, ["submit", *given, *dry])
    assert isinstance(ended.exception, InputError), ended.exception
    assert said in str(ended.exception)
    assert "\n" not in str(ended.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


@pytest.mark.parametrize("job", ["--user=root", "1,2", "1_2", "", "0", "-1", "x", "../1"])
@pytest.mark.parametrize("command", ["status", "logs", "cancel"])
def test_a_job_is_a_number(command: str, job: str) -> None:
    ended = CliRunner().invoke(cluster_commands, [command, "--", job])
    assert ended.exit_code == 2
    assert "Invalid value for 'JOB'" in ended.output


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

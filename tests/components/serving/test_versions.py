"""Pushes models while a server looks on, and kills pushes in their midst."""

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components import files
from components.serving import versions
from tests.support import damages

PUSHES = 20
ORIGIN = versions.Origin(run_id="r1", model_id=7, model_created=1)
CONTENT = {f"variables/part-{part}": bytes([part]) * 400_000 for part in range(20)}
CONTENT["saved_model.pb"] = b"graph"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Something to push, of many files."""
    folder = tmp_path / "model"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _content(version: Path) -> dict[str, bytes]:
    files = (path for path in version.rglob("*") if path.is_file())
    found = {str(path.relative_to(version)): path.read_bytes() for path in files}
    found.pop("assets.extra/pushed.json", None)
    return found


class Server(threading.Thread):
    """Looks every few milliseconds for versions it has not seen, as a model server does."""

    def __init__(self, base: Path) -> None:
        super().__init__(daemon=True)
        self._base, self._ending = base, threading.Event()
        self.seen: dict[str, bool] = {}
        self.looks = 0

    def run(self) -> None:
        """Notes of each new version whether it was whole at first sight."""
        while not self._ending.wait(0.002):
            self.looks += 1
            for version in self._base.glob("[0-9]*"):
                if version.name not in self.seen:
                    self.seen[version.name] = _content(version) == CONTENT

    def finish(self) -> None:
        """Looks once more and ends."""
        self._ending.set()
        self.join()


def test_a_server_sees_whole_versions_only_while_pushes_are_killed(
    model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "serving"
    began = time.monotonic()
    last = versions.push(model, base, ORIGIN)
    seconds = time.monotonic() - began
    server = Server(base)
    server.start()
    pushing = "import sys; from pathlib import Path; from components.serving.versions import *\n"
    pushing += "origin = Origin(run_id='r1', model_id=7, model_created=1)\nprint(flush=True)\n"
    pushing += "while True: push(Path(sys.argv[1]), Path(sys.argv[2]), origin)"
    draws, unfinished = random.Random(7), 0  # noqa: S311 (drawn moments, no secret)
    for _ in range(PUSHES):
        process = subprocess.Popen(  # noqa: S603 (a command of ours)
            [sys.executable, "-c", pushing, str(model), str(base)], stdout=subprocess.PIPE
        )
        assert process.stdout and process.stdout.readline()  # it pushes now
        time.sleep(draws.uniform(0, 2 * seconds))
        process.kill()
        process.communicate()
        unfinished += (base / files.INCOMING).exists()
    server.finish()
    assert unfinished > 0, "no kill was in the midst of a push"
    assert len(server.seen) > 1 and all(server.seen.values())
    assert _content(last.folder) == CONTENT, "the last good version stays"
    print(f"{PUSHES} pushes killed, {unfinished} unfinished, {server.looks} looks")


def test_the_next_push_clears_what_a_killed_one_left(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "serving"
    (base / files.INCOMING).mkdir(parents=True)
    (base / files.INCOMING / "variables").write_bytes(b"half")
    version = versions.push(model, base, ORIGIN)
    assert [path.name for path in base.iterdir()] == [version.folder.name]
    assert _content(version.folder) == CONTENT


def test_a_new_version_is_the_highest_also_after_the_clock_was_set_back(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "serving"
    first = versions.push(model, base, ORIGIN)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    second, third = versions.push(model, base, ORIGIN), versions.push(model, base, ORIGIN)
    assert first.number < second.number < third.number


def test_versions_say_which_model_they_are(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "serving"
    assert versions.versions(base) == ()
    pushed = versions.push(model, base, ORIGIN)
    (base / "99").mkdir()
    for name in (
        "100x",
        "-101",
        "\uff11\uff10\uff12",
        str(2**63),
    ):
        (base / name).mkdir()
    foreign = base / str(pushed.number + 1)
    damages.save_graph(foreign)
    found = versions.versions(base)
    empty = versions.Version(99, base / "99", None, "its file saved_model.pb is missing or empty")
    assert found == (empty, pushed, versions.Version(pushed.number + 1, foreign, None))
    assert [each.holds(7, 1) for each in found] == [False, True, False]
    assert not pushed.holds(7, 2), "a model of that number from another database"


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("damage", damages.DAMAGES)
def test_what_no_server_can_load_is_no_model(
    damage: Callable[[Path], object], is_ours: bool, tmp_path: Path
) -> None:
    damages.save_graph(tmp_path / "model")
    base = tmp_path / "serving"
    pushed = versions.push(tmp_path / "model", base, ORIGIN)
    if not is_ours:  # then nobody knows how long its files were
        shutil.rmtree(pushed.folder / versions.EXTRA)
    assert not versions.versions(base)[-1].damage
    damage(pushed.folder)
    (found,) = versions.versions(base)
    if is_ours or damage not in damages.SHORTENED:
        assert found.damage
    assert not found.holds(7, 1)
    again = versions.push(tmp_path / "model", base, ORIGIN)
    assert again.number > pushed.number
    assert versions.versions(base)[-1] == again and again.holds(7, 1)


def test_a_version_is_pushed_again_with_its_card_and_a_decision(
    model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "serving"
    first = versions.push(model, base, ORIGIN)
    (first.folder / versions.EXTRA / "model_card.md").write_text("A card.")
    second = versions.push(model, base, ORIGIN.model_copy(update={"model_id": 8}))
    sign_off = versions.SignOff(
        kind="rolled_back",
        by="Ada",
        reason="it misses falls",
        time=1,
        run_id="r1",
        model_id=7,
        model_created=1,
        withdrawn_version=second.number,
        withdrawn_id=8,
        withdrawn_created=1,
    )
    assert first.origin
    origin = first.origin.model_copy(update={"sign_off": sign_off})
    third = versions.push(first.folder, base, origin)
    found = versions.versions(base)
    assert found == (first, second, third)
    assert third.sign_off == sign_off.model_copy(update={"version": third.number})
    assert versions.withdrawn(found) == {(8, 1)}
    assert list(versions.comparable(found, (9, 1))) == [third, first]
    assert list(versions.comparable(found, (7, 1))) == []
    card = third.folder / versions.EXTRA / "model_card.md"
    card.write_text(card.read_text() + " It may change.")
    assert not any(version.damage for version in versions.versions(base))
    again = versions.push(second.folder, base, second.origin or ORIGIN)
    assert versions.withdrawn((*found, again)) == set(), "somebody put it back"

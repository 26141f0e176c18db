"""Downloads from a real HTTP server on the loopback address that misbehaves in many ways."""

import hashlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import InputError
from components.ingest import download as module
from components.ingest import layout
from components.ingest.download import download, read_spec

IMAGES = random.Random(7).randbytes(700_000)  # noqa: S311 (drawn data, no secret)
LABELS = b"file_name\n"
TRIES = 3


@dataclass
class Habits:
    """How the server answers, and what it was asked."""

    content: bytes = IMAGES
    ranges: bool = True
    chunked: bool = False
    extra_length: int = 0  # Content-Length minus the bytes there are
    extra_range: int = 0  # how far Content-Range is off
    cut: list[int | None] = field(default_factory=list)  # bytes before breaking off, by answer
    stall: bool = False  # instead of breaking off
    statuses: list[int] = field(default_factory=list)  # before answering properly
    redirect: str | None = None
    asked: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Server:
    habits: Habits
    url: str


@pytest.fixture
def server() -> Iterator[Server]:
    habits = Habits()
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            habits.asked.append(dict(self.headers))
            if habits.statuses:
                return self.head(habits.statuses.pop(0), {"Content-Length": "0"})
            if habits.redirect:
                return self.head(302, {"Location": habits.redirect, "Content-Length": "0"})
            self.send_content()

        def send_content(self) -> None:
            content, start, headers = habits.content, 0, {}
            asked = self.headers.get("Range")
            if asked and habits.ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    return self.head(
                        416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}
                    )
                first = start + habits.extra_range
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            body = content[start:]
            if habits.chunked:
                headers["Transfer-Encoding"] = "chunked"
            else:
                headers["Content-Length"] = str(len(body) + habits.extra_length)
            self.head(206 if "Content-Range" in headers else 200, headers)
            cut = habits.cut.pop(0) if habits.cut else None
            if cut is not None:
                body = body[:cut]
            if habits.chunked:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
                if cut is None:
                    self.wfile.write(b"0\r\n\r\n")
            else:
                self.wfile.write(body)
            if cut is not None or habits.extra_length > 0:
                self.wfile.flush()
                if habits.stall:
                    closing.wait(10)
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            return None

        def head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(habits, f"http://127.0.0.1:{listener.server_address[1]}/images.zip")
        closing.set()
        listener.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", (5, 0.5))
    retry = module._RETRY.new(total=TRIES - 1, backoff_factor=0.01)
    monkeypatch.setattr(module, "_RETRY", retry)


def break_off(server: Server, spec: Path, root: Path) -> None:
    """Leaves most of a file in the data root, as a server that goes down does."""
    server.habits.cut = [600_000, *[0] * TRIES]
    assert "it continues where it was" in fails(spec, root, "the connection broke off")
    assert not (root / layout.zip_name("3")).exists()
    server.habits.cut.clear()
    server.habits.asked.clear()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Path]:
    """Writes a TOML file for tranche 3, whose label table is a local file."""
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "labels.csv").write_bytes(LABELS)

    def write(images: str, digest: str = sha256(IMAGES), **changes: str) -> Path:
        values = {
            "name": "3",
            "images": images,
            "images_sha256": digest,
            "labels": "labels.csv",
            "labels_sha256": sha256(LABELS),
            **changes,
        }
        path = tmp_path / "spec" / "tranches.toml"
        path.write_text(
            "[[tranche]]\n" + "".join(f'{key} = "{value}"\n' for key, value in values.items())
        )
        return path

    return write


def fails(spec: Path, root: Path, message: str) -> str:
    with pytest.raises(InputError, match=message) as caught:
        download(spec, root)
    assert "\n" not in str(caught.value)
    assert not (root / "persons-posture-tranch3.zip").exists()
    return str(caught.value)


# -- What is fetched ---------------------------------------------------------------------


def test_fetches_a_data_root_and_nothing_twice(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "new" / "root"
    steps: list[tuple[str, int, int | None]] = []
    zip_path, labels = root / "persons-posture-tranch3.zip", root / "tranch3_labels.csv"
    path = spec(server.url)
    assert download(path, root, lambda *step: steps.append(step)) == {labels: True, zip_path: True}
    assert zip_path.read_bytes() == IMAGES
    assert labels.read_bytes() == LABELS
    assert steps[0] == ("tranch3_labels.csv", len(LABELS), len(LABELS))
    assert steps[-1] == ("persons-posture-tranch3.zip", len(IMAGES), len(IMAGES))
    assert {entry.name for entry in root.iterdir()} == {zip_path.name, labels.name}
    assert layout.discover(root) == [layout.Tranche("3", labels, zip_path, None)]

    assert download(path, root) == {labels: False, zip_path: False}
    assert len(server.habits.asked) == 1


def test_local_paths_are_relative_to_the_spec(spec: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(IMAGES)
    download(spec("../images.zip"), tmp_path / "root")
    assert (tmp_path / "root" / "persons-posture-tranch3.zip").read_bytes() == IMAGES


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("stall", [False, True])
def test_goes_on_after_a_break(
    server: Server,
    spec: Callable[..., Path],
    tmp_path: Path,
    chunked: bool,
    stall: bool,
) -> None:
    server.habits.chunked, server.habits.stall = chunked, stall
    server.habits.cut = [300_000, 300_000]
    download(spec(server.url), tmp_path / "root")
    assert (tmp_path / "root" / "persons-posture-tranch3.zip").read_bytes() == IMAGES
    offsets = [
        int(asked.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        for asked in server.habits.asked
    ]
    assert offsets[0] == 0
    assert len(offsets) == 3
    assert 0 < offsets[1] < offsets[2]


def test_goes_on_in_a_later_call(server: Server, spec: Callable[..., Path], tmp_path: Path) -> None:
    path, root = spec(server.url), tmp_path / "root"
    break_off(server, path, root)
    download(path, root)
    assert (root / "persons-posture-tranch3.zip").read_bytes() == IMAGES
    (asked,) = server.habits.asked
    assert asked["Range"] > "bytes=5"


def the_part(root: Path) -> Path:
    (part,) = root.glob("*.part")
    return part


def test_a_part_that_was_complete_is_not_fetched_again(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    """As after a kill just before the file takes its name."""
    path, root = spec(server.url), tmp_path / "root"
    break_off(server, path, root)
    the_part(root).write_bytes(IMAGES)
    download(path, root)
    assert (root / "persons-posture-tranch3.zip").read_bytes() == IMAGES
    assert len(server.habits.asked) == 1  # and that was refused: there is no more


def test_starts_anew_where_the_server_ignores_ranges(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.ranges = False
    server.habits.cut = [500_000, 400_000]
    download(spec(server.url), tmp_path / "root")
    assert (tmp_path / "root" / "persons-posture-tranch3.zip").read_bytes() == IMAGES


def test_does_not_mix_two_versions(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    """The file changes between two calls; its SHA-256 tells."""
    path, root = spec(server.url), tmp_path / "root"
    server.habits.content = bytes(len(IMAGES))
    break_off(server, path, root)
    server.habits.content = IMAGES
    download(path, root)
    assert (root / "persons-posture-tranch3.zip").read_bytes() == IMAGES


def test_does_not_go_on_with_the_part_of_another_file(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    break_off(server, spec(server.url), root)
    server.habits.content = b"another, shorter file"
    download(spec(server.url, sha256(server.habits.content)), root)
    assert (root / "persons-posture-tranch3.zip").read_bytes() == server.habits.content
    (asked,) = server.habits.asked
    assert "Range" not in asked
    assert not list(root.glob("*.part"))


def test_a_part_longer_than_the_file_is_thrown_away(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    path, root = spec(server.url), tmp_path / "root"
    break_off(server, path, root)
    the_part(root).write_bytes(IMAGES * 2)
    download(path, root)
    assert (root / "persons-posture-tranch3.zip").read_bytes() == IMAGES


@pytest.mark.parametrize("status", [429, 500, 503])
def test_tries_again_when_the_server_is_in_trouble(
    server: Server, spec: Callable[..., Path], tmp_path: Path, status: int
) -> None:
    server.habits.statuses = [status] * (TRIES - 1)
    download(spec(server.url), tmp_path / "root")
    assert len(server.habits.asked) == TRIES


# -- What is refused ---------------------------------------------------------------------


def test_gives_up_after_the_stated_tries(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.statuses = [503] * 99
    fails(spec(server.url), tmp_path / "root", "the server answers 503 .*; try again later")
    assert len(server.habits.asked) == TRIES


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_does_not_try_again_what_will_not_change(
    server: Server, spec: Callable[..., Path], tmp_path: Path, status: int
) -> None:
    server.habits.statuses = [status] * 99
    fails(spec(server.url), tmp_path / "root", f"the server answers {status}")
    assert len(server.habits.asked) == 1


def test_refuses_another_content_than_stated(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    message = fails(spec(server.url, "0" * 64), tmp_path / "root", "has the SHA-256")
    assert sha256(IMAGES) in message
    assert len(server.habits.asked) == 1


def test_a_sign_in_page_is_called_one(spec: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "spec" / "page.zip").write_text("<!DOCTYPE html><html>Sign in</html>")
    fails(spec("page.zip"), tmp_path / "root", "; it is an HTML page, such as a sign-in page; the")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_spec_may_begin_with_a_mark(
    spec: Callable[..., Path], tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "spec" / "images.zip").write_bytes(IMAGES)
    path = spec("images.zip")
    path.write_text(path.read_text(), encoding=encoding)
    if encoding == "utf-16":
        fails(path, tmp_path / "root", "is UTF-16 text")
    else:
        assert len(download(path, tmp_path / "root")) == 2


def test_a_server_that_promises_too_much_is_not_waited_for(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.extra_length = 1000
    download(spec(server.url), tmp_path / "root")  # all that the SHA-256 needs
    assert (tmp_path / "root" / layout.zip_name("3")).read_bytes() == IMAGES
    assert len(server.habits.asked) == 2


def test_a_server_that_promises_too_little_is_found_out(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.extra_length = -1000
    fails(spec(server.url), tmp_path / "root", "has the SHA-256")


def test_a_server_that_sends_another_range_is_not_believed(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.extra_range = 10
    server.habits.cut = [600_000]
    download(spec(server.url), tmp_path / "root")
    assert (tmp_path / "root" / "persons-posture-tranch3.zip").read_bytes() == IMAGES


def test_a_server_that_is_silent_is_waited_for_within_bounds(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.stall = True
    server.habits.cut = [0] * 99
    fails(spec(server.url), tmp_path / "root", "did not answer in time")
    assert len(server.habits.asked) == TRIES


def test_a_server_that_is_not_there_is_named(spec: Callable[..., Path], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://user:secret@127.0.0.1:{port}/a.zip?signature=secret"
    message = fails(spec(url), tmp_path / "root", "no connection")
    assert f"http://127.0.0.1:{port}/a.zip" in message
    assert "secret" not in message


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a"])
def test_does_not_follow_a_redirect_out_of_http(
    server: Server, spec: Callable[..., Path], tmp_path: Path, target: str
) -> None:
    server.habits.redirect = target
    fails(spec(server.url), tmp_path / "root", "check the address")


def test_does_not_follow_a_circle(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.redirect = server.url
    fails(spec(server.url), tmp_path / "root", "redirects in a circle")


def test_refuses_more_than_the_disk_holds(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    server.habits.extra_length = 2**60
    fails(spec(server.url), tmp_path / "root", r"needs 1,152,9.* bytes, but .* has room for")
    assert len(server.habits.asked) == 1


def test_does_not_overwrite_an_edited_table(
    server: Server, spec: Callable[..., Path], tmp_path: Path
) -> None:
    download(spec(server.url), tmp_path / "root")
    edited = tmp_path / "root" / "tranch3_labels.csv"
    edited.write_text("edited by hand\n")
    with pytest.raises(InputError, match="with another content"):
        download(spec(server.url), tmp_path / "root")
    assert edited.read_text() == "edited by hand\n"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("none.zip", r"none\.zip cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        ("s3://bucket/a.zip", "neither an http"),
        ("file:///etc/passwd", "neither an http"),
        ("http://[bad/a.zip", "check the address"),
        ("http:///a.zip", "check the address"),
    ],
)
def test_refuses_locations_without_a_file(
    spec: Callable[..., Path], tmp_path: Path, location: str, message: str
) -> None:
    fails(spec(location), tmp_path / "root", message)


def test_a_data_root_that_cannot_be_made_is_named(
    spec: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        download(spec("x.zip"), tmp_path / "file" / "root")


# -- The TOML file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "0", "01", "-1", "1.5", "one", "../1", "1/2", "1\\\\n", "٣", "1234567890"]
)
def test_tranche_names_are_numbers(spec: Callable[..., Path], name: str) -> None:
    with pytest.raises(InputError, match=r"tranche\.1\.name: .* name \(a number in quotes\)"):
        read_spec(spec("a.zip", name=name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "tranche: Field required"),
        ("tranche = []", "at least 1 item"),
        ("[[tranche]]\nname = '1'", "tranche.1.images: Field required"),
        ("[[tranche]\n", "is not a TOML file"),
        ("[[tranches]]", "tranche: Field required"),
    ],
)
def test_a_wrong_spec_is_explained(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "tranches.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_spec(path)
    assert str(path) in str(caught.value)


def test_keys_and_digests_are_checked(spec: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"tranche\.1\.images_sha256: String should match"):
        read_spec(spec("a.zip", "abc"))
    with pytest.raises(InputError, match=r"tranche\.1\.md5: Extra inputs"):
        read_spec(spec("a.zip", md5="abc"))


def test_two_tranches_of_one_name_are_refused(spec: Callable[..., Path]) -> None:
    path = spec("a.zip")
    path.write_text(path.read_text() * 2)
    with pytest.raises(InputError, match="tranche 3 twice"):
        read_spec(path)


def test_a_spec_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml cannot be read"):
        read_spec(tmp_path / "none.toml")

"""The review page of real runs: what is on it is what TFMA and the tables say."""

from pathlib import Path

import pytest

from pipeline.review import formats
from tests.support.running import SETTINGS, Command, Ended, accuracies_on_the_page, plain


def test_accuracies_on_the_page_are_those_of_tfma(first: Ended) -> None:
    assert accuracies_on_the_page(first) == 4


def test_the_page_stands_alone_and_is_small(first: Ended) -> None:
    path = Path(first.record["paths"]["review"])
    assert path.stat().st_size < 6_000_000
    assert "Content-Security-Policy" in path.read_text(encoding="utf-8")
    assert path == first.out / "review" / first.record["run_id"] / "index.html"
    assert path.stat().st_mode & 0o077 == 0, "pictures are for their owner's eyes"
    assert str(path) in "".join(first.text.split()), "the last lines say where it is"


def test_the_model_card_goes_with_the_pushed_model(first: Ended) -> None:
    folder = Path(first.record["paths"]["review"]).parent
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    pushed = Path(first.record["paths"]["pushed"])
    assert (pushed / "assets.extra" / "model_card.md").read_text(encoding="utf-8") == card
    assert f"{first.record['accuracy'] * 100:.1f} %" in card


@pytest.mark.slow
def test_the_page_can_be_drawn_again_against_another_run(
    first: Ended, command: Command, tranches: Path
) -> None:
    other = command.run(first.out, "--data-root", str(tranches), **{**SETTINGS, "seed": 5})
    assert other.status in (0, 3), other.text
    drawn = command.call(
        *("-m", "pipeline.commands.cli", "review", "--output-root", first.out, "--blur"),
        *("--against", first.record["run_id"]),
        out=first.out,
    )
    assert drawn.status == 0, drawn.text
    text = other.page_text
    assert first.record["run_id"] in text
    difference = other.record["accuracy"] - first.record["accuracy"]
    assert plain(formats.points(difference)) in text


def test_an_unknown_run_is_named(first: Ended, command: Command) -> None:
    drawn = command.call(
        *("-m", "pipeline.commands.cli", "review", "NOSUCH", "--output-root", first.out),
        out=first.out,
    )
    assert drawn.status == 2
    assert "There is no run NOSUCH" in drawn.text and first.record["run_id"] in drawn.text
    assert "Traceback" not in drawn.text

"""The review page of real runs: what is on it is what TFMA and the tables say."""

from pathlib import Path

import pytest

from tests.support.running import Command, Ended, accuracies_on_the_page

pytestmark = pytest.mark.slow  # a whole run, which the other slow tests share


def test_accuracies_on_the_page_are_those_of_tfma(whole_run: Ended) -> None:
    assert accuracies_on_the_page(whole_run) == 4


def test_the_page_stands_alone_and_is_small(whole_run: Ended) -> None:
    path = Path(whole_run.record["paths"]["review"])
    assert path.stat().st_size < 6_000_000
    assert "Content-Security-Policy" in path.read_text(encoding="utf-8")
    assert path == whole_run.out / "review" / whole_run.record["run_id"] / "index.html"
    assert path.stat().st_mode & 0o077 == 0, "pictures are for their owner's eyes"
    assert str(path) in "".join(whole_run.text.split()), "the last lines say where it is"


def test_the_model_card_goes_with_the_pushed_model(whole_run: Ended) -> None:
    folder = Path(whole_run.record["paths"]["review"]).parent
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    pushed = Path(whole_run.record["paths"]["pushed"])
    assert (pushed / "assets.extra" / "model_card.md").read_text(encoding="utf-8") == card
    assert f"{whole_run.record['accuracy'] * 100:.1f} %" in card


def test_an_unknown_run_is_named(whole_run: Ended, command: Command) -> None:
    drawn = command.call(
        *("-m", "pipeline.commands.script", "review", "NOSUCH", "--output-root", whole_run.out),
        out=whole_run.out,
    )
    assert drawn.status == 2
    assert "There is no run NOSUCH" in drawn.text and whole_run.record["run_id"] in drawn.text
    assert "Traceback" not in drawn.text

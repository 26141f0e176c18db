from pathlib import Path

import pytest

from components.errors import InputError
from components.ingest.layout import Tranche, discover


def touch(root: Path, *names: str) -> None:
    for name in names:
        if name.endswith("/"):
            (root / name).mkdir()
        else:
            (root / name).touch()


def test_finds_zips_folders_and_tables_ordered_by_number(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("home/", "tranch1_labels.csv"),
        *("tranch2/", "tranch2_labels.csv"),
        *("persons-posture-tranch10.zip", "tranch10_labels.csv"),
        *("persons-posture-tranche3.zip", "tranche3_labels.csv"),
        *("README.md", "notes/", "tranch0_labels.csv.bak"),
    )
    assert discover(tmp_path) == [
        Tranche("1", tmp_path / "tranch1_labels.csv", None, tmp_path / "home"),
        Tranche("2", tmp_path / "tranch2_labels.csv", None, tmp_path / "tranch2"),
        Tranche(
            "3", tmp_path / "tranche3_labels.csv", tmp_path / "persons-posture-tranche3.zip", None
        ),
        Tranche(
            "10", tmp_path / "tranch10_labels.csv", tmp_path / "persons-posture-tranch10.zip", None
        ),
    ]


def test_uses_the_folder_where_the_zip_was_unzipped_beside_it(tmp_path: Path) -> None:
    touch(tmp_path, "home/", "persons-posture-tranch1.zip", "tranch1_labels.csv")
    assert discover(tmp_path) == [
        Tranche("1", tmp_path / "tranch1_labels.csv", None, tmp_path / "home")
    ]


def test_labels_only_needs_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "tranch4_labels.csv")
    assert discover(tmp_path, labels_only=True) == [
        Tranche("4", tmp_path / "tranch4_labels.csv", None, None)
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "contains no label table"),
        (["tranch2_labels.csv"], "persons-posture-tranch2.zip or the folder tranch2/"),
        (["tranch1_labels.csv"], "or the folder home/"),
        (["tranch1_labels.csv", "home/", "tranch7/"], "tranch7_labels.csv is missing"),
        (["tranch1_labels.csv", "persons-posture-tranch1.zip", "tranch02/", "tranch2/"], "tranch2"),
        (["tranch1_labels.csv", "home/", "tranch1/"], "both claim to be tranche 1"),
        (["tranch1_labels.csv", "tranche1_labels.csv", "home/"], "both claim to be tranche 1"),
        # A folder by the table's name is no table.
        (["tranch1_labels.csv/", "home/"], "contains no label table"),
    ],
)
def test_says_what_is_missing(tmp_path: Path, names: list[str], message: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=message) as caught:
        discover(tmp_path)
    assert "\n" not in str(caught.value)


def test_refuses_a_data_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        discover(tmp_path / "nowhere")


def test_finds_the_real_tranches(shared_data: Path) -> None:
    tranches = discover(shared_data / "tranches")
    assert [tranche.name for tranche in tranches] == ["1", "2", "3"]
    assert all(tranche.images_zip for tranche in tranches)

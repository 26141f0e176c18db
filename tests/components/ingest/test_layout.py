from pathlib import Path

import pytest

from components.errors import InputError
from components.ingest.layout import Tranche, discover, strays


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
        *("PERSONS-POSTURE-TRANCHE3.Zip", "Tranche3_LABELS.CSV"),
        *("README.md", "notes/", "tranch0_labels.csv.bak"),
    )
    assert discover(tmp_path) == [
        Tranche("1", tmp_path / "tranch1_labels.csv", None, tmp_path / "home"),
        Tranche("2", tmp_path / "tranch2_labels.csv", None, tmp_path / "tranch2"),
        Tranche(
            "3", tmp_path / "Tranche3_LABELS.CSV", tmp_path / "PERSONS-POSTURE-TRANCHE3.Zip", None
        ),
        Tranche(
            "10", tmp_path / "tranch10_labels.csv", tmp_path / "persons-posture-tranch10.zip", None
        ),
    ]


def test_uses_the_folder_where_the_zip_was_unzipped_beside_it(tmp_path: Path) -> None:
    touch(tmp_path, "Home/", "persons-posture-tranch1.zip", "tranch1_labels.csv")
    (tranche,) = discover(tmp_path)
    assert tranche.images == tranche.images_dir == tmp_path / "Home"
    assert tranche.images_zip == tmp_path / "persons-posture-tranch1.zip"


# What people, browsers and copies make of the names of tranche 2.
NEARLY = [
    *("tranch2_labels (1).csv", "Copy of tranch2_labels.csv", "tranch2_labels - Kopie.csv"),
    *("tranch02_labels.csv", "tranch2-labels.csv", "tranch2_labels.csv.txt", "tranch2_labels.xlsx"),
    *("tranche_2_labels.csv", "labels_tranch2.csv", "tranch2_label.csv", "tranch2_labels.csv "),
    *("trance2_labels.csv", "tranch2b_labels.csv", "tranch2_labels.csv.0123456789abcdef.part"),
    *("persons-posture-tranch2 (1).zip", "persons-posture-tranch02.zip", "persons_posture_2.zip"),
    *("person-posture-tranch2.zip", "persons-posture-tranch2.zip.crdownload", "tranch2.zip"),
    *("tranch02/", "Tranche 2/", "persons-posture-tranch2/", "home (1)/", "tranch2_labels.csv/"),
]


@pytest.mark.parametrize("name", NEARLY)
def test_what_is_nearly_a_tranche_is_named(tmp_path: Path, name: str) -> None:
    """Beside a tranche that is read; and in the refusal where that part is missing."""
    others = (".DS_Store", "~$tranch1_labels.xlsx", "README.md", "notes/", "photos.zip", "2.csv")
    touch(tmp_path, "home/", "tranch1_labels.csv", *others, name)
    assert strays(tmp_path) == [name]
    assert [tranche.name for tranche in discover(tmp_path)] == ["1"]
    touch(tmp_path, "tranch3_labels.csv")
    with pytest.raises(InputError, match="has no images") as caught:
        discover(tmp_path)
    assert str(caught.value).endswith(f"; nearly named so: {name}.")


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "home/", "tranch1_labels.csv")
    (tmp_path / "tranch2_labels.csv").symlink_to("nowhere")
    (tmp_path / "tranch2").symlink_to("tranch2")
    assert strays(tmp_path) == ["tranch2 (a broken link)", "tranch2_labels.csv (a broken link)"]


def test_a_data_root_one_folder_deeper_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "delivery/", "delivery/tranch1_labels.csv", "delivery/home/")
    with pytest.raises(InputError, match=rf"no label table; give the folder {tmp_path}/delivery\."):
        discover(tmp_path)


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

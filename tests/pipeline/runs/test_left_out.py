import csv

from hypothesis import given
from hypothesis import strategies as st

from components.ingest.master import CONTRADICTIONS, REPORT_COLUMNS, build_master
from components.ingest.tfrecords import REJECT_COLUMNS
from pipeline.runs.left_out import Contradiction, Reject, read_contradictions, read_rejects

# Ingestion leaves a bare carriage return unquoted, so that it ends a row.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_reads_back_any_names_and_reasons(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("data")
    (folder / "tfrecords" / "2").mkdir(parents=True)
    with (folder / "tfrecords" / "2" / "rejects.csv").open("w", encoding="utf-8", newline="") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(REJECT_COLUMNS)
        table.writerows(("2", name, f"{name}.png", f"reason {reason}") for name, reason in cells)
    found = read_rejects(folder)
    assert sum(reject.count for reject in found) == len(cells)
    assert {reject.example for reject in found} <= {name for name, _ in cells}


def test_a_row_that_is_cut_off_is_counted(tmp_path):
    (tmp_path / "rejects.csv").write_text("tranche,file_name,table,row,reason\n2,one\rtwo\n")
    assert sum(reject.count for reject in read_rejects(tmp_path)) == 2


def test_reads_what_ingestion_really_writes(tmp_path):
    source = tmp_path / "source"
    (source / "tranch1").mkdir(parents=True)
    name = '=a,"b"é_cat-1_00{}.png'
    rows = [
        (name.format(1), "None", "Lying", "", ""),
        (name.format(2), "One", "Lying", "", ""),
        ("CLIP_cat-1_001.png", "One", "Lying", "", ""),
    ]
    with (source / "tranch1_labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "how_many", "primary_posture", "primary_occluded",
                        "staff_patient_other"])  # fmt: skip
        table.writerows(rows)
    for present in (name.format(1), "clip_cat-1_001.png", "extra_cat-1_001.png"):
        (source / "tranch1" / present).write_bytes(b"any")
    build_master(source, tmp_path / "out")
    assert set(REPORT_COLUMNS) >= {"tranche", "file_name", "reason"}
    found = {reject.reason: reject for reject in read_rejects(tmp_path / "out")}
    assert found["no image has this name"] == Reject(
        "1", "no image has this name", 1, "'" + name.format(2)
    )
    assert found["no image has this name; but one differs in case only"].count == 1
    assert found["no row names this image"].count == 2
    assert read_contradictions(tmp_path / "out") == [
        Contradiction(CONTRADICTIONS[0], 1, ["'" + name.format(1)])
    ]


def test_a_run_that_ended_before_its_tables_has_none(tmp_path):
    assert read_rejects(tmp_path) == []
    assert read_contradictions(tmp_path) == []

"""Ingestion: from delivered tranches to TFRecords.

In: a data root, with a label table and an image zip or folder for each tranche (`layout`).
Out: OUT/data/tranch_master.csv (`master`), and one folder of TFRecords for each tranche
(`tfrecords`), both with tables of what was rejected and why.
Tested in tests/components/ingest; with hostile files in tests/robustness, test_archives.py,
test_tables.py and test_pictures.py.
"""

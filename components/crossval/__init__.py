"""Cross-validation: how well training recipes do on clips and tranches held out.

In: ingestion's TFRecords and the settings of a training. Out: a row of accuracy, its interval and
calibration error for each recipe and way of holding out, and the answers of each finished trial,
kept so that it is not run again. Images are held out in folds of whole clips, and one tranche at a
time. Early stopping and calibration use an eval part of the training clips, never what is held out.

Tested in tests/components/crossval, and as a command in tests/pipeline/commands/test_crossval.py.
"""

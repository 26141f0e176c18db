"""The review page of a run.

In: the run's snapshot, its artifacts and ML Metadata, read by `collect`, one module a section.
Out: `OUT/review/RUN/`: the page, one HTML file drawn by `page`; the settings; and the model card,
which also goes into the folder of a pushed model.
Tests: tests/pipeline/review, in a browser as well; tests/e2e/test_review.py on real runs.
"""

"""What a run is, and how it is read.

`run` holds the types, `reader` builds a `Run` out of ML Metadata (`lineage`), the artifacts
(`evaluation_result`), the served versions and the run's `snapshot`; `verdict` says what it
came to, and `record` puts that into OUT/run.json. Every command and page reads runs through
`reader.Runs`. Tested in tests/pipeline/runs; test_endings.py crosses endings and readers.
"""

"""From the TFRecords to what is trained on.

In: TFRecords by tranche, from `components.ingest`. Out: tf.Examples split by clip
(`example_gen`), their statistics (`statistics_gen`), the curated schema (`curated_schema`), a
verdict on the data (`validation_gate`), a table of all images (`image_table`), and by TFX's
Transform the fitted pictures (`preprocessing`). `record_reader` and `parquet` read what is
written. Tests: tests/components/examples.
"""

"""From TFRecords to what is trained on."""

"""From raw tranches to TFRecords: download, unzip, master table, image conversion, demo drawings."""

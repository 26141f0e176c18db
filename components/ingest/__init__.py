"""From raw tranches to TFRecords: download, unzip, master table, conversion, demo drawings."""

"""The contract on the data: column names, label values, and the curated TFDV schema."""

"""Fixtures of several tests here."""

from tests.support.data_roots import read_csv, write_table, write_zip

__all__ = ["read_csv", "write_table", "write_zip"]

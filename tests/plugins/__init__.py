"""Fixtures for every test: see `tests/conftest.py`."""

"""Restores into a throwaway PostgreSQL, which prove that a stored archive can be restored."""

"""Measurements side by side with other ways of working: `make bench`. What they say stands in docs/performance.md."""

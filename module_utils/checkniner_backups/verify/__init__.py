"""Whether a database holds what a manifest promises: row counts and digests, of tables and of fixtures."""

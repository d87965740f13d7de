"""One backup: what has changed, the dump of one snapshot, the archive, its publication."""

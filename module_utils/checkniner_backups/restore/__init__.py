"""One restore: into a new database, verified, swapped in by rename; or into another database, or a live one."""

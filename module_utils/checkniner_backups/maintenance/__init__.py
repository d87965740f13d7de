"""What runs beside backups: retention, status, the check of a whole set-up."""

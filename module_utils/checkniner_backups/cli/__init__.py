"""The command line: the door for cron and for hands."""

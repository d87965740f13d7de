"""Backups of a Django application on PostgreSQL: the engine behind cron, the Ansible modules and the command line.

The rooms, lowest first; each imports only from those before it:

* errors, settings: what can go wrong, what was asked for
* postgres, gpg, store, watchdog, application: one file per outside system
* fixtures, dataset, changes, archive, catalogue: what is dumped, whether it is new, the file format, what is stored
* backup, restore, retention, ...: the use cases
* cli: the door for cron and for hands
"""

__version__ = "1.0.0"

FORMAT_VERSION = 1
"""Version of the archive's manifest. Raise it when an older engine could misread what a newer one wrote."""

"""Backups of a Django application on PostgreSQL: the engine behind cron, the Ansible modules and the command line.

The packages, lowest first; each imports only from those before it:

* errors, settings: what can go wrong, what was asked for
* system, state: the machine, and what is remembered between runs
* postgres, storage, openpgp, openssh: one package per outside system
* django_app: the application, its environment and its own interpreter
* archive, verify: the file format, and whether a database holds what an archive promises
* backup, restore, drill, pruning, maintenance: the use cases
* cli: the door for cron and for hands
"""

__version__ = "1.2.0"

FORMAT_VERSION = 2
"""Version of the archive's manifest. Raise it when an older engine could misread what a newer one wrote."""

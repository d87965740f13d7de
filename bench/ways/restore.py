"""Restore an archive as the playbook does, in one process: create, load, prove, swap. For the engine's interpreter.

    restore.py ENVIRONMENT-FILE ARCHIVE sql|fixtures

The session key comes in SESSION_KEY, the administrator's way to the server in ADMIN_URL: this process plays the
application's owner and the administrator, who are two on a real server.
"""

import logging
import os
import sys
from pathlib import Path

from checkniner_backups.archive.file import ArchiveFile, inspect
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.restore import sql as restore
from checkniner_backups.restore.databases import Databases
from checkniner_backups.settings import from_environment
from checkniner_backups.system.environment_file import read_environment_file

logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(message)s", datefmt="%H:%M:%S")
settings = from_environment(read_environment_file(Path(sys.argv[1])))
source = ArchiveFile(Path(sys.argv[2]), session_key=os.environ["SESSION_KEY"])
live, _ = restore.owner_dsn(settings)
databases = Databases(parse_url(os.environ["ADMIN_URL"]), live.database)
facts = inspect(source).database
new = databases.create(live.user, facts, ()).database
load = restore.restore_sql if sys.argv[3] == "sql" else restore.restore_fixtures
proof = load(settings, source, new)
assert proof.proven, proof
change = databases.swap(new, facts)
logging.info("%s; swapped, nobody could connect for %.3f s", proof.summary, change.outage)

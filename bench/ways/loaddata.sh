#!/bin/bash
# `migrate` and Django's own `loaddata` of fixtures that lie decrypted on the disk, into a new database.
set -euo pipefail
PGUSER=postgres PGPASSWORD=$ADMIN_PASSWORD createdb --maintenance-db=postgres --owner="$PGUSER" "$NEW"
cd "$APPLICATION"
python=$VIRTUALENV/bin/python
"$python" manage.py migrate --verbosity 0
cd "$FOLDER"
"$python" "$APPLICATION/manage.py" loaddata --verbosity 0 contenttypes auth admin sessions checkouts
echo restored

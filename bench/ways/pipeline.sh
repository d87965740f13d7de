#!/bin/bash
# SQL alone, in one pipe: what most people's crontab holds.
set -euo pipefail
umask 077
pg_dump | gzip |
    gpg --batch --quiet --trust-model always --compress-algo none --recipient "$RECIPIENT" --encrypt |
    $UPLOAD "pipe/$(date -u +%Y-%m-%dT%H:%M:%S)-$$.sql.gz.gpg"
echo saved

#!/bin/sh
# What the application's owner can do: each attempt with "done" or why not. Run inside a unit's fence and outside.
try() {
    name=$1
    shift
    if "$@" 2>/dev/null; then echo "$name done"; else echo "$name refused"; fi
}
try home touch /home/checkniner/escaped
try application touch /home/checkniner/checkniner/escaped
try temporary test -e /tmp/of-the-host
try state touch /var/lib/checkniner-backups/checkniner/archives/escaped
try log sh -c ': >>/var/log/checkniner-backups/checkniner.log'
try socket python3 -c 'import errno, socket
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
except OSError as error:
    raise SystemExit(error.errno == errno.EAFNOSUPPORT)'
try privileges grep -q '^NoNewPrivs:.0' /proc/self/status
try tunables sh -c '[ -w /proc/self/oom_score_adj ]'
rm -f /home/checkniner/escaped /home/checkniner/checkniner/escaped /var/lib/checkniner-backups/checkniner/archives/escaped

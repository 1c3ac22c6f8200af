#!/bin/sh
# Starts a new supervisor when the old one was killed. Itself supervised, so neither can die alone.
#   guardian.sh SUPERVISOR_PID_FILE PYTHON
# A supervisor that stops in order stops this script first, and nothing is revived.
set -eu
pidfile="$1" python="$2"
supervisor="$PPID"
exec >>"${PAAS_HOME:?}/log/guardian.log" 2>&1 # not the supervisor's pipe, which dies with it
trap 'exit 0' TERM INT
while kill -0 "$supervisor" 2>/dev/null; do
    sleep 1 &
    wait $!
done
echo "supervisor $supervisor is gone (pid file $pidfile); starting a new one"
exec setsid "$python" -m host start

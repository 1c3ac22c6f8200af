#!/bin/sh
# Runs the Docker Engine in the foreground for an instance that has no engine of the machine's to use.
#   engine.sh DATA_FOLDER RUN_FOLDER
# After a kill -9 the old pid file would keep the engine from starting: it goes when no engine has that pid.
set -eu
data="$1" run="$2"
pidfile="$run/docker.pid"
if [ -f "$pidfile" ] && [ "$(cat "/proc/$(cat "$pidfile")/comm" 2>/dev/null)" != dockerd ]; then
    rm -f "$pidfile"
fi
mtu=1500
for link in /sys/class/net/*; do
    case "${link##*/}" in lo | docker* | veth* | br-* | ifb*) continue ;; esac
    value="$(cat "$link/mtu" 2>/dev/null || echo 1500)"
    [ "$value" -ge 1280 ] && [ "$value" -lt "$mtu" ] && mtu="$value"
done
exec dockerd --host "unix://$run/docker.sock" --data-root "$data" --exec-root "$run/docker" --pidfile "$pidfile" \
    --live-restore --mtu "$mtu" --log-level warn --log-opt max-size=10m --log-opt max-file=2

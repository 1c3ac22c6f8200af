#!/bin/sh
# Runs the Docker Engine in the foreground for an instance that has no engine of the machine's to use.
#   engine.sh DATA_FOLDER RUN_FOLDER [MIRROR]: MIRROR is host:port of our copy of a public registry
# After a kill -9 the old pid files would keep the engine from starting: they go unless such a process really lives.
set -eu
data="$1" run="$2" mirror="${3:-}"

forget_unless_alive() { # PID_FILE NAME
    [ -f "$1" ] || return 0
    pid="$(cat "$1")"
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:.Z' "/proc/$pid/status"; then
        return 0
    fi
    rm -f "$1"
}
forget_unless_alive "$run/docker.pid" dockerd
forget_unless_alive "$run/docker/containerd/containerd.pid" containerd

mtu=1500
for link in /sys/class/net/*; do
    case "${link##*/}" in lo | docker* | veth* | br-* | ifb*) continue ;; esac
    value="$(cat "$link/mtu" 2>/dev/null || echo 1500)"
    [ "$value" -ge 1280 ] && [ "$value" -lt "$mtu" ] && mtu="$value"
done
exec dockerd ${mirror:+--registry-mirror "http://$mirror"} --host "unix://$run/docker.sock" --data-root "$data" --exec-root "$run/docker" --pidfile "$run/docker.pid" \
    --live-restore --mtu "$mtu" --log-level warn --log-opt max-size=10m --log-opt max-file=2

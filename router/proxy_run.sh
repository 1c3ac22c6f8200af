#!/bin/sh
# Stays in the foreground as long as this folder's nginx runs; `python -m router proxy` becomes this.
#   proxy_run.sh                        the same as `python -m router proxy`
#   proxy_run.sh DATA PYTHON CODE       start nginx
#   proxy_run.sh DATA PYTHON CODE PID   watch the master that already runs
# TERM, INT and QUIT let requests finish for 10 seconds, then end them. Killed, it leaves nginx running.
set -u
[ "$#" -gt 0 ] || exec "${PYTHON:-python3}" -m router proxy
data=$1 python=$2 code=$3 pid=${4:-} settle=
patience=10

finish() {
    trap '' TERM INT QUIT
    kill -QUIT "$pid" 2>/dev/null
    [ -z "$settle" ] || kill "$settle" 2>/dev/null
    waited=0
    while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt "$patience" ]; do
        sleep 1 &
        wait "$!"
        waited=$((waited + 1))
        # An ended child stays visible to kill -0 until it is waited for.
        case "$(cat "/proc/$pid/stat" 2>/dev/null)" in *") Z "*) break ;; esac
    done
    kill -TERM "$pid" 2>/dev/null
    exit 0
}
trap finish TERM INT QUIT

if [ -n "$pid" ]; then
    echo "nginx $pid already runs in $data; watching it"
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1 &
        wait "$!"
    done
    echo "nginx $pid ended" >&2
    exit 1
fi

# Its own session: a signal to the launcher's process group does not reach it.
setsid nginx -e "$data/error.log" -c "$data/nginx.conf" &
pid=$!
echo "nginx $pid starts in $data; requests are logged in access.log there, errors in error.log"
PYTHONPATH="$code${PYTHONPATH:+:$PYTHONPATH}" "$python" -m router settle &
settle=$!
wait "$pid"
status=$?
kill "$settle" 2>/dev/null
echo "nginx $pid ended with status $status" >&2
[ "$status" -ne 0 ] && tail -n 3 "$data/error.log" >&2
exit "$status"

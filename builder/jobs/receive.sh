# Runs in a build's pod: takes an archive on stdin, and starts the build when all of it is there.
# $1: bytes of the archive. $2: what a buildpack build waits for on its pipe; empty for other builds. Of a buildpack
# build is noted what came, and when: what it changes goes back (send.sh). File systems' clocks tick every few ms.
until [ -p /workspace/start ]; do sleep 0.05; done
head -c "$1" | tar -x -f - -C / || exit 1
if [ -n "$2" ]; then
  mkfifo -m 600 /workspace/go
  mkdir -p /workspace/cache /workspace/out
  cd / && find app workspace/cache -mindepth 1 -print0 | LC_ALL=C sort -z >/tmp/.had
  sleep 0.02
  touch /tmp/.received
fi
echo >/workspace/start
[ -z "$2" ] || echo "$2" >/workspace/go

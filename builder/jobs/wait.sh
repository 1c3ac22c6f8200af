# First process of a build's pod. Waits until the tree is here, runs the build, says in the log how that ended, and
# stays until what it made has been fetched (USR1). Arguments: the build's command.
trap 'exit 143' TERM
mkfifo -m 600 /workspace/start
cat /workspace/start >/dev/null &
wait $!
rm -f /workspace/start
mark=$BUILD_MARK
unset BUILD_MARK
"$@" 2>&1 &
wait $!
code=$?
trap 'exit $code' USR1
printf '%s %s\n' "$mark" "$code"
sleep 2147483647 &
wait $!

# What our buildpacks share; sourced by a bin/compile that has set BUILD, CACHE and ENV.
ROOT=/workspace/app # the same folder as BUILD, on the same mount as the cache: renames work
LOG=${LOG:-/tmp/log} # what `logged` ran last said

# Ends the build; the pusher reads these words as its cause.
fail() {
  echo "$*" >/workspace/out/cause
  exit 1
}
warn() { echo " !     $*"; }
indent() { sed -u 's/^/       /'; }

# A config variable of the app, or nothing.
config() { [ -r "$ENV/$1" ] && echo "$(<"$ENV/$1")"; }

# Runs something with the app's config as environment.
with_config() (
  for name in "$ENV"/*; do [ -f "$name" ] && case ${name##*/} in PATH | HOME | LD_* | BASH_ENV | PYTHONHOME | PYTHONPATH | GIT_DIR | GIT_CONFIG_GLOBAL) ;; *) export "${name##*/}=$(cat "$name")" ;; esac; done
  "$@"
)

# A hash of words, and of the content of those that are files, in REPLY.
key_of() {
  local word files=() plain=()
  for word in "$@"; do if [ -f "$word" ]; then files+=("$word"); else plain+=("$word"); fi; done
  REPLY=$({ printf '%s\n' "${plain[@]}"; [ ${#files[@]} = 0 ] || sha256sum "${files[@]}"; } | sha256sum)
  REPLY=${REPLY:0:20}
}

# Says that this build installed nothing and ran nothing of the app: while the content of these files stays, and the
# names in the tree's first two levels that our scripts look for, the next one needs no container (builder/shortcut.py).
same_while() { printf '%s\n' "$@" >/workspace/out/inputs; }

# Keeps the newest two of a kind (`layers/ruby-`) in the cache.
trim() { ls -dt "$CACHE/$1"* 2>/dev/null | tail -n +3 | xargs -r rm -rf; }

# Runs something, its output shown indented and kept in $LOG; its exit code.
logged() {
  "$@" 2>&1 | tee "$LOG" | indent
  return "${PIPESTATUS[0]}"
}

# The last line of $LOG that says something, without its full stop.
last_line() { grep -v '^[[:space:]]*$' "$LOG" | tail -n1 | cut -c1-200 | sed 's/\.$//'; }

# The first rule (`pattern<TAB>sentence`; \1 is what the first group matched) that a line of $LOG matches.
cause_of() {
  local pattern text line number
  while IFS=$'\t' read -r pattern text; do
    line=$(grep -m1 -E -e "$pattern" "$LOG") || continue
    [[ $line =~ $pattern ]] || continue
    for number in 1 2 3 4 5; do text=${text//"\\$number"/${BASH_REMATCH[number]:-}}; done
    echo "$text"
    return
  done
  return 1
}

#!/bin/sh
# Puts an unmodified kubectl, 1.32 or later, into FOLDER for the tests, where the machine has none.
#   kubectl.sh FOLDER
# Debian 12's own is 1.20: the one of Debian 13 (a static binary) is unpacked instead, from the machine's own mirror,
# with its signatures checked, and nothing is installed.
set -eu
folder="$1"
if command -v kubectl >/dev/null 2>&1; then
    minor="$(kubectl version --client -o json 2>/dev/null | sed -n 's/.*"minor": "\([0-9]*\).*/\1/p' | head -n 1)"
    if [ "${minor:-0}" -ge 32 ]; then exit 0; fi
fi
[ -x "$folder/kubectl" ] && exit 0
mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)"
case "$mirror" in *ubuntu*) fail=1 ;; *) fail=0 ;; esac
if [ "$fail" = 1 ]; then
    echo " !     kubectl 1.32 or later is needed for the conformance tests: install it (snap install kubectl)" >&2
    exit 1
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/etc/apt.conf.d"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
apt() {
    apt-get -q -o Dir::State="$work/state" -o Dir::Cache="$work/cache" -o Dir::Etc::sourcelist="$work/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Dir::State::status=/dev/null "$@"
}
apt update >/dev/null
(cd "$work" && apt download kubectl >/dev/null)
dpkg-deb -x "$work"/kubectl_*.deb "$work/tree"
mkdir -p "$folder"
install -m 755 "$work/tree/usr/bin/kubectl" "$folder/kubectl"

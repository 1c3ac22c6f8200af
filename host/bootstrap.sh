#!/bin/sh
# Installs the system packages that are missing and makes the virtual environment from the lock file.
# Safe to run again: it changes nothing when everything is there.
#
#   host/bootstrap.sh [run|test]     test adds what only the tests need
set -eu
cd "$(dirname "$0")/.."
purpose="${1:-run}"

say() { printf -- '-----> %s\n' "$*"; }
detail() { printf '       %s\n' "$*"; }
fail() { printf ' !     %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "The platform is set up as root. Run it again as: sudo make up"
[ "$(uname -m)" = x86_64 ] || fail "This machine is $(uname -m); only x86_64 is supported."
command -v apt-get >/dev/null || fail "No apt-get here: only Debian 12, 13 and Ubuntu 24.04 or later are supported."

RUN_PACKAGES="ca-certificates curl git python3 python3-venv openssh-client iproute2 iptables nftables procps util-linux
 redis-server nginx libnginx-mod-http-lua lua-cjson docker-registry debootstrap debian-archive-keyring busybox-static conntrack libnss-myhostname"
TEST_PACKAGES="wrk chromium postgresql zsh fish"
FIRST_START=3000 SYSTEM=1000  # megabytes
packages="$RUN_PACKAGES"
command -v dockerd >/dev/null || packages="$packages docker.io"
if [ "$purpose" = test ]; then
    packages="$packages $TEST_PACKAGES"
    # Debian 13 keeps the engine's command line apart; only tests use it
    (. /etc/os-release && [ "$ID" = debian ] && [ "${VERSION_ID%%.*}" -ge 13 ]) && ! command -v docker >/dev/null &&
        packages="$packages docker-cli"
fi

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done

# Megabytes free in a folder that is there or will be.
free_in() {
    folder="$1"
    while [ ! -d "$folder" ]; do folder="$(dirname "$folder")"; done
    df -Pm "$folder" | awk 'NR == 2 { print $4 }'
}

home="${PAAS_HOME:-/var/lib/paas}"
if [ "$purpose" = run ] && [ ! -e "$home/platform.json" ] && [ "$(free_in "$home")" -lt "$FIRST_START" ]; then
    fail "$(free_in "$home") MB are free for $home and a first start takes $FIRST_START: free some, or name a folder on\
 a larger disk (PAAS_HOME=/mnt/paas make up)."
fi
if [ -n "$missing" ] && [ "$(free_in /usr)" -lt "$SYSTEM" ]; then
    fail "$(free_in /usr) MB are free in /usr and the system packages take $SYSTEM: free some (apt-get clean), then run\
 this again."
fi

# Packages that start a service of their own on well-known ports: ours are started by our supervisor instead.
quiet_services() {
    [ -d /run/systemd/system ] || return 0
    for service in nginx redis-server docker-registry postgresql; do
        case " $missing " in *" $service "*) systemctl disable --now "$service" >/dev/null 2>&1 || true ;; esac
    done
}

if [ -n "$missing" ]; then
    say "Installing system packages"
    detail "$(echo $missing)"
    log="$(mktemp)"
    policy=/usr/sbin/policy-rc.d
    own_policy=""
    if [ ! -e "$policy" ]; then
        own_policy=1
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    trap '[ -z "$own_policy" ] || rm -f "$policy"; rm -f "$log"' EXIT INT TERM
    export DEBIAN_FRONTEND=noninteractive
    install_packages() {
        # shellcheck disable=SC2086
        apt-get install -y --no-remove --no-install-recommends $missing >"$log" 2>&1
    }
    apt-get update -q >"$log" 2>&1 || detail "apt-get update failed; trying with the lists at hand"
    # shellcheck disable=SC2086
    removed="$(apt-get install -s --no-install-recommends $missing 2>/dev/null | awk '$1 == "Remv" { printf " %s", $2 }')"
    [ -z "$removed" ] || fail "The packages needed can't be installed beside$removed: if nothing of yours needs it, remove it\
 (apt-get remove$removed), then run this again."
    install_packages || { sleep 3; install_packages; } || {
        grep '^E:' "$log" | tail -n 3 >&2
        fail "apt-get could not install:$missing. Check the network and 'apt-get update', then run this again."
    }
    quiet_services
    if [ -d /run/systemd/system ]; then
        case " $missing " in *" docker.io "*) systemctl enable --now docker >/dev/null 2>&1 || true ;; esac
    fi
fi

lock=requirements.lock
[ "$purpose" = test ] && lock=requirements-dev.lock
python="$(command -v /usr/bin/python3 || command -v python3)" || fail "No python3 found after installing packages."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed; $python is older."

wanted="$(cat requirements.lock "$lock" | sha256sum | cut -d' ' -f1) $("$python" -V)"
if [ "$(cat .venv/.lock-$purpose 2>/dev/null || true)" != "$wanted" ]; then
    say "Making the virtual environment from $lock"
    [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
    pip_log="$(mktemp)"
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$lock" >"$pip_log" 2>&1 || {
        tail -n 15 "$pip_log" >&2
        fail "pip could not install $lock. Check that the package index configured for pip is reachable, then run this again."
    }
    rm -f "$pip_log"
    site="$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    pwd >"$site/paas-checkout.pth"
    printf '#!%s/.venv/bin/python\nimport sys\nfrom cli.main import main\nsys.exit(main())\n' "$(pwd)" >.venv/bin/paas
    chmod 755 .venv/bin/paas
    echo "$wanted" >".venv/.lock-$purpose"
fi
if [ "$purpose" = test ]; then host/scripts/kubectl.sh .venv/bin; fi

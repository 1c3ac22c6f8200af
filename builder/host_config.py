"""What the host knows about reaching package indexes: its CA bundle, proxies, and each package manager's settings.

Builds see them as read-only mounts and environment, never as a layer or a log line.
"""

from __future__ import annotations

import configparser
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
CA_IN_CONTAINER = "/etc/ssl/certs/ca-certificates.crt"
CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
)
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy")
PIP_KEYS = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "timeout", "retries", "no-index")
NPM_KEYS = ("registry", "proxy", "https-proxy", "noproxy", "strict-ssl", "fetch-retries", "replace-registry-host")
PASSED_PREFIXES = ("BUNDLE_", "COMPOSER_AUTH", "GOPROXY", "GOPRIVATE", "GONO", "GOSUMDB", "GOINSECURE")
SETTINGS_FILES = {  # what a build sees at HOST_FILES: where, below the operator's home, it comes from
    "maven-settings.xml": (".m2/settings.xml",),
    "composer-config.json": (".config/composer/config.json", ".composer/config.json"),
    "composer-auth.json": (".config/composer/auth.json", ".composer/auth.json"),
    "bundle-config": (".bundle/config",),
    "go.env": (".config/go/env",),
}
CREDENTIAL = re.compile(
    r"""://[^/\s:@]*:([^/\s@]+)@|(?i:_authToken|_auth|_password)\s*=\s*(\S+)|<(?:password|passphrase)>([^<]+)<"""
    r"""|"(?:token|password|bearer|[\w.-]+\.[a-z]+)"\s*:\s*"([^"]+)"|(?m:^BUNDLE_[A-Z0-9_]+__[A-Z0-9_]+:?\s*[=:]?\s*"?([^"\s]+))"""
)


@dataclass(frozen=True)
class HostConfig:
    """`env` and `binds` (host path, container path) for a container; `files` to be written next to it."""

    env: dict[str, str] = field(default_factory=dict)
    binds: tuple[tuple[str, str], ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    def credentials(self) -> dict[str, str]:
        """Passwords and tokens in it, by a name to show instead: builds need them, their output doesn't."""
        texts = [*self.files.values(), *(f"{key}={value}" for key, value in self.env.items())]
        found = {word for text in texts for match in CREDENTIAL.findall(text) for word in match if word}
        return {f"index credential {number}": word for number, word in enumerate(sorted(found), 1)}


def home() -> Path:
    """The home folder of the account, whatever a supervisor made of HOME."""
    return Path(pwd.getpwuid(os.getuid()).pw_dir)


def ca_bundle(env: Mapping[str, str]) -> Path | None:
    for candidate in (env.get("SSL_CERT_FILE", ""), *CA_BUNDLES):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return None


def own_authority(env: Mapping[str, str], local: Path = Path("/usr/local/share/ca-certificates")) -> bytes:
    """The CA bundle, if this host trusts more than what every system does; else nothing."""
    bundle = ca_bundle(env)
    if bundle is None or not (any(env.get(name) for name in CA_VARIABLES) or any(local.rglob("*.crt"))):
        return b""
    return bundle.read_bytes()


def proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Proxy variables in both spellings."""
    found = {}
    for name in PROXY_VARIABLES:
        if value := env.get(name) or env.get(name.upper()):
            found[name] = found[name.upper()] = value
    return found


def read_pip(paths: list[Path], env: Mapping[str, str]) -> dict[str, str]:
    """The `[global]` settings that say where packages come from; later files win, then PIP_* variables."""
    merged: dict[str, str] = {}
    for path in paths:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                merged |= {key: value for key, value in parser.items(section) if key in PIP_KEYS}
    for key in PIP_KEYS:
        if value := env.get("PIP_" + key.replace("-", "_").upper()):
            merged[key] = value
    return merged


def split_local(values: dict[str, str], here: bool = True) -> tuple[dict[str, str], list[str]]:
    """Settings without the local folders that don't exist where they are used, and those that do (to be mounted)."""
    kept, folders = {}, []
    for key, value in values.items():
        words = []
        for word in value.split():
            path = word.removeprefix("file://")
            if path.startswith("/") and key != "proxy":
                if not here or not Path(path).exists():
                    continue
                folders.append(path)
            words.append(word)
        if words:
            kept[key] = " ".join(words) if len(words) == 1 else "\n    " + "\n    ".join(words)
    return kept, folders


def mount_roots(folders: list[str]) -> list[str]:
    """The folders to mount: a simple index links to files beside it, so its parent is what a build needs."""
    roots = {str(Path(folder).parent) if Path(folder).name == "simple" else folder for folder in folders}
    return sorted(root for root in roots if not any(root != other and root.startswith(other + "/") for other in roots))


def read_npm(paths: list[Path]) -> list[str]:
    """The lines of the host's npmrc files that say where packages come from, last one winning."""
    merged: dict[str, str] = {}
    for path in paths:
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in lines:
            key, sep, value = (part.strip() for part in line.partition("="))
            if sep and (key in NPM_KEYS or key.startswith("//") or (key.startswith("@") and key.endswith(":registry"))):
                merged[key] = value
    return [f"{key}={value}" for key, value in merged.items()]


def first_text(paths: list[Path]) -> str:
    """The content of the first file there is."""
    for path in paths:
        try:
            return path.read_text()
        except (OSError, UnicodeDecodeError):
            continue
    return ""


def collect(env: Mapping[str, str], target: str, folder: Path, here: bool = True) -> HostConfig:
    """What a container gets: `folder` (on the host) is mounted at `target` and holds `files`.

    `here`: the container runs on this host; one elsewhere gets no folders of packages, which aren't there.
    """
    found_env, binds = proxies(env), []
    if bundle := ca_bundle(env):
        binds.append((str(bundle.resolve()), CA_IN_CONTAINER))
        found_env |= dict.fromkeys(CA_VARIABLES, CA_IN_CONTAINER)
    account = home()
    pip_files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), account / ".pip/pip.conf"]
    if named := env.get("PIP_CONFIG_FILE"):
        pip_files.append(Path(named))
    pip, local = split_local(read_pip([*pip_files, account / ".config/pip/pip.conf"], env), here)
    binds += [(root, root) for root in mount_roots(local)]
    npm_files = [Path("/usr/etc/npmrc"), Path("/usr/local/etc/npmrc"), Path("/etc/npmrc"), account / ".npmrc"]
    files = {
        "pip.conf": "[global]\n" + "".join(f"{key} = {value}\n" for key, value in pip.items()),
        "npmrc": "\n".join([*read_npm(npm_files), "fund=false", "audit=false", "update-notifier=false", ""]),
    }
    for name, places in SETTINGS_FILES.items():
        if text := first_text([account / place for place in places]):
            files[name] = text
    found_env |= {key: value for key, value in env.items() if key.startswith(PASSED_PREFIXES) and value}
    found_env["PIP_CONFIG_FILE"] = f"{target}/pip.conf"
    found_env["NPM_CONFIG_GLOBALCONFIG"] = f"{target}/npmrc"
    return HostConfig(found_env, ((str(folder), target), *binds), files)


def write(config: HostConfig, folder: Path) -> None:
    """Put `files` in place, readable by the build user."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # whatever the umask
    for old in set(os.listdir(folder)) - set(config.files):
        (folder / old).unlink()
    for name, text in config.files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)

"""What a pyproject.toml without a lock file asks for: `install`, `nothing`, or the command that makes its lock file."""

import sys
import tomllib

try:
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)
except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
    print(f"pyproject.toml is not valid TOML: {exc}")
    sys.exit(1)
if "poetry" in project.get("tool", {}) and "project" not in project:
    print("poetry lock")
elif "project" in project or "build-system" in project:
    print("install")
else:
    print("nothing")

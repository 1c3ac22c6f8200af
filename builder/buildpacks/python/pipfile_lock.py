"""Pipfile.lock as pip requirements, hashes included, on standard output."""

import json
import sys

for name, package in json.load(open(sys.argv[1]))["default"].items():
    extras = "[{}]".format(",".join(package["extras"])) if package.get("extras") else ""
    marker = " ; " + package["markers"] if package.get("markers") else ""
    if package.get("git"):
        print("{}{} @ git+{}@{}{}".format(name, extras, package["git"], package.get("ref", "HEAD"), marker))
    elif package.get("file") or package.get("path"):
        print(package.get("file") or package["path"])
    else:
        hashes = "".join(" --hash=" + item for item in package.get("hashes", ()))
        print(name + extras + package.get("version", "") + marker + hashes)

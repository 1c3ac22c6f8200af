"""What a newcomer reads when the platform is up."""

from __future__ import annotations

from host.example import APP
from host.operator import ADMIN
from host.settings import Platform


def print_summary(platform: Platform, password: str, *, with_example: bool) -> None:
    lines = ["", "=====> The platform is up"]
    if with_example:
        lines.append(f"       Example app   {platform.app_url_template.format(app=APP)}")
    lines.append(f"       Dashboard     {platform.url}/")
    if password:
        lines.append(f"       Sign in as    {ADMIN}, password {password}")
        lines.append("                     (shown this once; `make password` makes a new one)")
    else:
        lines.append(
            f"       Sign in as    {ADMIN} (password shown at the first `make up`; `make password` makes a new one)"
        )
    lines += [
        "",
        "       Try next, in a folder with an app of yours (or a copy of examples/python-web):",
        f"         paas login {platform.url}",
        "         paas keys:add",
        "         paas create hello",
        "         git push deis master",
        "",
    ]
    print("\n".join(lines), flush=True)


def print_password(password: str) -> None:
    """What mustn't be lost when set-up stops half-way: the password is kept nowhere else."""
    if password:
        print("\n".join(sign_in(password)), flush=True)


def sign_in(password: str) -> list[str]:
    if not password:
        return [
            f"       Sign in as    {ADMIN} (password shown at the first `make up`; `make password` makes a new one)"
        ]
    return [
        f"       Sign in as    {ADMIN}, password {password}",
        "                     (shown this once; `make password` makes a new one)",
    ]

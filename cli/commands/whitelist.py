"""Whitelist: the only addresses that may reach an app; empty means everybody."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import APP, JSON, Arg, command

ADDRESSES = Arg("ip,cidr,...", "addresses and networks, comma-separated", dest="addresses")


@command("whitelist:list", "List the allowed addresses", "paas whitelist", options=(APP, JSON), bare=True)
def list_whitelist(session: Session) -> None:
    addresses = session.api.get(session.app_path("whitelist", ""))["addresses"]
    if session.shown_as_json(addresses):
        return
    output.heading(f"{session.app} Whitelisted Addresses")
    for address in addresses:
        output.line(address)
    if not addresses:
        output.note("None: every address may reach it; `paas whitelist:add 192.0.2.0/24` lets only those in.")


@command(
    "whitelist:add",
    "Let only these addresses reach the app",
    "paas whitelist:add 192.0.2.7,198.51.100.0/24",
    args=(ADDRESSES,),
    options=(APP,),
)
def add(session: Session, addresses: str) -> None:
    output.line(f"Adding {addresses} to {session.app} whitelist...")
    session.api.post(session.app_path("whitelist", ""), {"addresses": addresses.split(",")})
    output.line("done")


@command(
    "whitelist:remove",
    "Take addresses off the list",
    "paas whitelist:remove 192.0.2.7",
    args=(ADDRESSES,),
    options=(APP,),
)
def remove(session: Session, addresses: str) -> None:
    output.line(f"Removing {addresses} from {session.app} whitelist...")
    session.api.delete(session.app_path("whitelist", ""), {"addresses": addresses.split(",")})
    output.line("done")

"""SSH keys: who you are when you `git push`."""

from __future__ import annotations

from pathlib import Path

from cli import output, prompts
from cli.client import path
from cli.errors import CliError, UsageError
from cli.session import Session
from cli.table import JSON, LIMIT, Arg, command

KEY_TYPES = ("ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")


@command("keys:list", "List your SSH keys", "paas keys", options=(LIMIT, JSON), bare=True)
def list_keys(session: Session, limit: int | None) -> None:
    keys, total = session.page("/v2/keys/", limit)
    if session.shown_as_json(keys):
        return
    output.heading(f"{session.profile.username} Keys", len(keys), total)
    output.pairs([(key["id"], shorten(key["public"])) for key in keys], gap=1)
    if not keys:
        output.note("None yet; `paas keys:add` uploads one.")


def shorten(public: str) -> str:
    return public if len(public) <= 26 else f"{public[:16]}...{public[-10:]}"


@command(
    "keys:add",
    "Upload a public SSH key, so that you can push",
    "paas keys:add ~/.ssh/id_ed25519.pub",
    args=(
        Arg("name", "what to call it; the key's comment when missing", required=False),
        Arg("file", "the .pub file; without one you pick from those in ~/.ssh", required=False),
    ),
    details="A single argument that is a file is taken as the file.",
)
def add(session: Session, name: str | None, file: str | None) -> None:
    if name and not file and Path(name).expanduser().is_file():
        name, file = None, name
    if name and not file and ("/" in name or name.endswith(".pub")):
        raise UsageError(f"There is no file {name}; see which keys you have with `ls ~/.ssh/*.pub`.")
    target = Path(file).expanduser() if file else pick()
    public = read_public_key(target)
    words = public.split(None, 2)
    name = name or (words[2] if len(words) > 2 else target.name.partition(".")[0])
    with output.progress(f"Uploading {target.name} to deis..."):
        try:
            session.api.post("/v2/keys/", {"id": name, "public": public})
        except CliError as exc:
            if "id already exists" in str(exc):
                raise type(exc)(
                    f"A key named '{name}' is registered already, by you or another user; "
                    f"give this one its own name: `paas keys:add NAME {target}`."
                ) from exc
            raise


def pick() -> Path:
    """The one file that is ~/.ssh/*.pub, or that of them which the user chooses."""
    files = sorted(Path.home().joinpath(".ssh").glob("*.pub"))
    if not files:
        raise CliError("There is no key in ~/.ssh; make one with `ssh-keygen -t ed25519`, then `paas keys:add` again.")
    if len(files) == 1:
        return files[0]
    return files[prompts.choose("Found the following SSH public keys:", [file.name for file in files])]


def read_public_key(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as exc:
        raise UsageError(f"{file} can't be read ({exc.strerror}); name a .pub file.") from exc
    if "PRIVATE KEY" in text:
        raise UsageError(f"{file} is a private key, and stays yours; upload {file}.pub instead.")
    if not text.startswith(KEY_TYPES) or len(text.split()) < 2 or "\n" in text:
        raise UsageError(f"{file} is no SSH public key: one line that begins with a type such as ssh-ed25519.")
    return text


@command("keys:remove", "Remove an SSH key", "paas keys:remove laptop", args=(Arg("id", "as `paas keys` lists it"),))
def remove(session: Session, id: str) -> None:
    with output.progress(f"Removing {id} SSH Key..."):
        session.api.delete(path("keys", id))

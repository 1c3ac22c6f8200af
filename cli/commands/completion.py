"""Completion scripts for bash, zsh and fish, drawn from the command table."""

from __future__ import annotations

from cli import output
from cli.completions import render
from cli.errors import UsageError
from cli.session import Session
from cli.table import Arg, command

SHELLS = ("bash", "zsh", "fish")


@command(
    "completion:show",
    "Print completion for your shell",
    'eval "$(paas completion bash)"',
    args=(Arg("shell", "bash, zsh or fish"),),
    details="bash, zsh: put the example's line into ~/.bashrc or ~/.zshrc.\n"
    "fish: paas completion fish > ~/.config/fish/completions/paas.fish",
    bare=True,
)
def show(session: Session, shell: str) -> None:
    if shell not in SHELLS:
        raise UsageError(f"There is no completion for '{shell}'; there is for bash, zsh and fish.")
    output.line(render(shell))

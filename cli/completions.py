"""Completion scripts. They hold the whole table, so that pressing Tab starts no program."""

from __future__ import annotations

from cli.table import NOUNS, SHORTCUTS, Command, every_command, find

BASH = """\
# paas completion for bash
_paas() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" line="${{COMP_LINE:0:COMP_POINT}}" first options
    first="${{line#* }}"; first="${{first%%[[:space:]]*}}"
    if [[ "$line" =~ ^[^[:space:]]+[[:space:]]+[^[:space:]]*$ ]]; then
        # bash splits words at the colon: complete what follows it.
        COMPREPLY=( $(compgen -W "{names}" -- "$first") )
        if [[ "$first" == *:* ]]; then COMPREPLY=( "${{COMPREPLY[@]#"${{first%:*}}":}}" ); fi
        return
    fi
    case "$first" in
{cases}
        *) options="" ;;
    esac
    if [[ "$word" == -* ]]; then
        COMPREPLY=( $(compgen -W "$options" -- "$word") )
    else
        COMPREPLY=( $(compgen -f -- "$word") )
    fi
}}
complete -F _paas paas"""

ZSH = """\
#compdef paas
# paas completion for zsh
_paas() {{
    local -a commands options
    if (( CURRENT == 2 )); then
        commands=(
{commands}
        )
        _describe 'command' commands
        return
    fi
    case "$words[2]" in
{cases}
    esac
    if [[ "$words[CURRENT]" == -* ]]; then _describe 'option' options; else _files; fi
}}
compdef _paas paas"""


def render(shell: str) -> str:
    entries = named_commands()
    return {"bash": render_bash, "zsh": render_zsh, "fish": render_fish}[shell](entries)


def named_commands() -> dict[str, Command]:
    """Every name that can be typed: commands, bare topics and shortcuts."""
    entries = {entry.name: entry for entry in every_command()}
    for name in (*NOUNS, *SHORTCUTS):
        entry = find(name)
        if entry is not None:
            entries.setdefault(name, entry)
    return dict(sorted(entries.items()))


def option_names(entry: Command) -> list[str]:
    return [option.name + ("=" if option.value else "") for option in entry.all_options]


def render_bash(entries: dict[str, Command]) -> str:
    cases = "\n".join(f'        {name}) options="{" ".join(option_names(e))}" ;;' for name, e in entries.items())
    return BASH.format(names=" ".join(entries), cases=cases)


def render_zsh(entries: dict[str, Command]) -> str:
    commands = "\n".join(f"            {_zsh_row(name, entry.summary)}" for name, entry in entries.items())
    cases = "\n".join(
        f"        {name}) options=({' '.join(_zsh_row(o.name, o.help) for o in entry.all_options)}) ;;"
        for name, entry in entries.items()
    )
    return ZSH.format(commands=commands, cases=cases)


def _zsh_row(name: str, about: str) -> str:
    return _quoted(f"{name.replace(':', chr(92) + ':')}:{about}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def render_fish(entries: dict[str, Command]) -> str:
    rows = ["# paas completion for fish", "complete -c paas -f -n __fish_use_subcommand"]
    for name, entry in entries.items():
        rows.append(f"complete -c paas -n __fish_use_subcommand -a {_fish(name)} -d {_fish(entry.summary)}")
        for option in entry.all_options:
            short = f" -s {option.short.lstrip('-')}" if option.short else ""
            needs = " -r" if option.value else ""
            rows.append(
                f"complete -c paas -n '__fish_seen_subcommand_from {name}'"
                f" -l {option.name.lstrip('-')}{short}{needs} -d {_fish(option.help)}"
            )
    return "\n".join(rows)


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

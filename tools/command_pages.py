#!/usr/bin/env python3
"""Writes the manual pages and the completions of bash, zsh and fish, from the tables by which the
program reads its arguments (`qudag command-table`): a command or flag that is in `--help` is in all
of them.

OUT gets man/man1/*.1 (a page for each command), man/man5/qudag.toml.5 (a row for each configuration
key), bash-completion/completions/qudag, zsh/site-functions/_qudag and
fish/vendor_completions.d/qudag.fish: the layout below /usr/share.

Usage: command_pages.py QUDAG OUT
"""

import json
import pathlib
import re
import subprocess
import sys

SEE_ALSO = ("qudag(1)", "qudag-node(1)", "qudag.toml(5)")


class Command:
    """A command with the words that call it."""

    def __init__(self, table, before=()):
        self.words = (*before, table["name"])
        self.help = table["help"]
        self.options = table["options"]
        self.inner = [Command(one, self.words) for one in table["commands"]]

    def walk(self):
        yield self
        for one in self.inner:
            yield from one.walk()

    @property
    def flags(self):
        return [o for o in self.options if not o["place"]]

    @property
    def places(self):
        return [o for o in self.options if o["place"]]


def choices(option):
    """The words that a value may be, where it is one of a few."""
    takes = option["takes"].removeprefix("one of ").replace(" or ", ", ")
    words = [word.strip('"') for word in takes.split(", ")]
    plain = all(re.fullmatch(r"[a-z0-9-]+", word) for word in words)
    return words if plain and len(words) > 1 else []


def is_path(option):
    return option["kind"] == "PATH" or "path" in option["takes"].split()


# ---- manual pages -------------------------------------------------------------------------------

def roff(text):
    """Text of a paragraph: no escapes of roff's, and no request at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def head(name, section, what):
    return [f'.TH "{name.upper()}" "{section}" "" "QuDAG Net" ""', ".SH NAME",
            f"{roff(name)} \\- {roff(what[0].lower() + what[1:])}"]


def value_of(option):
    return option["kind"] if option["kind"] else ""


def paragraph(option):
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option["names"])
    kind = f" \\fI{value_of(option)}\\fR" if value_of(option) and not option["place"] else ""
    lines = [".TP", names + kind + (" ..." if option["list"] else ""),
             roff(sentence(option["help"]))]
    if option["takes"]:
        lines.append(roff(f"Takes {option['takes']}."))
    if option["default"] and option["kind"] != "PATH":  # that of a path is this machine's
        lines.append(roff(f"Default: {option['default']}."))
    return lines


def sentence(text):
    return text if text.endswith(".") else text + "."


def synopsis(command):
    text = ["\\fB" + roff(" ".join(command.words)) + "\\fR"]
    if command.flags:
        text.append("[\\fIOPTIONS\\fR]")
    if command.inner:
        text.append("\\fICOMMAND\\fR ...")
    for place in command.places:
        name = f"\\fI{roff(place['names'][0].upper())}\\fR"
        text.append(name if place["required"] else f"[{name}]")
    return " ".join(text)


def command_page(command, exit_codes):
    name = "-".join(command.words)
    lines = head(name, 1, command.help) + [".SH SYNOPSIS", synopsis(command)]
    if command.inner:
        lines.append(".SH COMMANDS")
        for one in command.inner:
            page = "-".join(one.words)
            lines += [".TP", f"\\fB{roff(one.words[-1])}\\fR",
                      roff(sentence(one.help)) + f" See \\fB{roff(page)}\\fR(1)."]
    own = [o for o in command.options if not o["key"]]
    keys = [o for o in command.options if o["key"]]
    if own:
        lines.append(".SH OPTIONS")
        for option in own:
            lines += paragraph(option)
    if keys:
        lines += [".SH CONFIGURATION KEYS",
                  "Each is also a key of the file that \\fB\\-\\-config\\fR names; a flag wins over it."]
        for option in keys:
            lines += paragraph(option)
    lines.append(".SH EXIT STATUS")
    for code, meaning in re.findall(r"^ +(\d)  (.*)$", exit_codes, re.M):
        lines += [".TP", code, roff(meaning[0].upper() + meaning[1:]) + "."]
    return lines + see_also(f"{name}(1)")


def see_also(own):
    others = [re.sub(r"(.*)\((\d)\)", r"\\fB\1\\fR(\2)", roff(one)) for one in SEE_ALSO if one != own]
    return [".SH SEE ALSO", ", ".join(others)]


def file_page(node, defaults):
    lines = head("qudag.toml", 5, "configuration file of a QuDAG Net node")
    lines += [".SH DESCRIPTION",
              roff("`qudag node --config FILE` reads a TOML file. Every key is also a flag of the same "
                   "name, which wins over the file. A name with a dot is a key of a table: "
                   "limits.memory is memory under [limits]. An unknown key is an error. Sizes have a "
                   "unit (512MiB), times too (60s). The packaged service reads "
                   "/etc/qudag/qudag.toml."), ".SH KEYS"]
    for option in node.options:
        if not option["key"]:
            continue
        name = option["names"][0].removeprefix("--")
        lines += [".TP", f"\\fB{roff(name)}\\fR = {roff(defaults[name])}", roff(option["help"])]
        if option["takes"]:
            lines.append(roff(f"Takes {option['takes']}."))
    return lines + see_also("qudag.toml(5)")


def defaults_of(text):
    """Key -> value as the file has it, of `qudag node --print-config`."""
    out, table = {}, ""
    for line in text.splitlines():
        if line.startswith("["):
            table = line[1:line.index("]")] + "."
        elif " = " in line and not line.startswith("#"):
            key, _, value = line.partition(" = ")
            out[table + key] = value
    return out


# ---- bash ---------------------------------------------------------------------------------------

BASH = r"""# bash completion of qudag. Made by tools/command_pages.py.
_qudag() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=qudag i words values=
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path ${COMP_WORDS[i]}" in
@PATHS@) path="$path ${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $prev" in
@VALUES@
  esac
  COMPREPLY=()
  if [[ $values == @files ]]; then
    compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  elif [[ $values == @any ]]; then
    return
  elif [[ -n $values ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
  else
    case $path in
@WORDS@
    esac
    if [[ $cur != -* && $words == *@files* ]]; then
      compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "${words//@files/}" -- "$cur")
  fi
}
complete -F _qudag qudag
"""


def bash(commands):
    paths = "|".join(f'"{" ".join(c.words)}"' for c in commands if len(c.words) > 1)
    values, words = [], []
    for c in commands:
        path = " ".join(c.words)
        for option in c.flags:
            if not option["kind"]:
                continue
            value = " ".join(choices(option)) or ("@files" if is_path(option) else "@any")
            cases = "|".join(f'"{path} {name}"' for name in option["names"])
            values.append(f"    {cases}) values='{value}' ;;")
        known = [one.words[-1] for one in c.inner] + [n for o in c.flags for n in o["names"]]
        if any(is_path(o) for o in c.places):
            known.append("@files")
        words.append(f"      '{path}') words='{' '.join(known)}' ;;")
    text = BASH.replace("@PATHS@", "      " + paths).replace("@VALUES@", "\n".join(values))
    return text.replace("@WORDS@", "\n".join(words))


# ---- zsh ----------------------------------------------------------------------------------------

def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def zsh_help(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def zsh_action(option):
    if choices(option):
        return f"({' '.join(choices(option))})"
    if option["kind"] == "USER":
        return "_users"
    return "_files" if is_path(option) else " "


def zsh_specs(command):
    specs = []
    for option in command.flags:
        value = f":{option['kind'].lower()}:{zsh_action(option)}" if option["kind"] else ""
        names = option["names"]
        repeated = "*" if option["list"] else f"({' '.join(names)})"
        for name in names:
            specs.append(quoted(f"{repeated}{name}[{zsh_help(option['help'])}]{value}"))
    for place in command.places:
        maybe = ":" if place["required"] else "::"
        specs.append(quoted(f"{maybe}{zsh_help(place['names'][0])}:{zsh_action(place)}"))
    return specs


def zsh(commands):
    lines = ["#compdef qudag", "# zsh completion of qudag. Made by tools/command_pages.py.", ""]
    for c in commands:
        function = "_" + "_".join(c.words)
        lines.append(f"{function}() {{")
        if c.inner:
            lines += ["  local curcontext=$curcontext state line", "  local -a commands",
                      "  commands=("]
            lines += [f"    {quoted(zsh_help(one.words[-1]) + ':' + zsh_help(one.help))}"
                      for one in c.inner]
            lines.append("  )")
        lines.append("  _arguments -s -S " + ("-C " if c.inner else "") + "\\")
        ends = zsh_specs(c) + (["':command:->command'", "'*::argument:->argument'"] if c.inner else [])
        lines.append(" \\\n".join(f"    {spec}" for spec in ends))
        if c.inner:
            lines += ["  case $state in", "    command) _describe command commands ;;",
                      "    argument)", "      case $words[1] in"]
            lines += [f"        {one.words[-1]}) _{'_'.join(one.words)} ;;" for one in c.inner]
            lines += ["      esac ;;", "  esac"]
        lines += ["}", ""]
    return "\n".join(lines) + '_qudag "$@"\n'


# ---- fish ---------------------------------------------------------------------------------------

def fish_line(command, option):
    if len(command.words) == 1:
        when = "__fish_use_subcommand"
    else:
        when = " ; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.words[1:])
    text = f"complete -c qudag -n {quoted(when)}"
    for name in option["names"]:
        text += f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
    if option["kind"]:
        text += " -r"
        if choices(option):
            text += f" -f -a {quoted(' '.join(choices(option)))}"
        else:
            text += " -F" if is_path(option) else " -f"
    return text + f" -d {quoted(option['help'])}"


def fish(commands):
    lines = ["# fish completion of qudag. Made by tools/command_pages.py.", "complete -c qudag -f"]
    for c in commands:
        inner = " ".join(one.words[-1] for one in c.inner)
        for one in c.inner:
            when = "__fish_use_subcommand"
            if len(c.words) > 1:
                when = (f"__fish_seen_subcommand_from {c.words[-1]}; "
                        f"and not __fish_seen_subcommand_from {inner}")
            lines.append(f"complete -c qudag -n {quoted(when)} -a {one.words[-1]} -d {quoted(one.help)}")
        lines += [fish_line(c, option) for option in c.flags]
        if any(is_path(place) for place in c.places):
            lines.append(f"complete -c qudag -n {quoted('__fish_seen_subcommand_from ' + c.words[-1])} -F")
    return "\n".join(lines) + "\n"


# ---- files --------------------------------------------------------------------------------------

def pages(table, config):
    """Path below OUT -> text."""
    commands = list(Command(table).walk())
    node = next(c for c in commands if c.words == ("qudag", "node"))
    out = {f"man/man1/{'-'.join(c.words)}.1": command_page(c, table["exit_codes"]) for c in commands}
    out["man/man5/qudag.toml.5"] = file_page(node, defaults_of(config))
    out = {path: "\n".join(lines) + "\n" for path, lines in out.items()}
    out["bash-completion/completions/qudag"] = bash(commands)
    out["zsh/site-functions/_qudag"] = zsh(commands)
    out["fish/vendor_completions.d/qudag.fish"] = fish(commands)
    return out


def asked(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, out = sys.argv[1], pathlib.Path(sys.argv[2])
    table = json.loads(asked(program, "command-table"))
    for path, text in pages(table, asked(program, "node", "--print-config")).items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text)


if __name__ == "__main__":
    main()

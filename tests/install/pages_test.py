#!/usr/bin/env python3
"""The manual pages and completions that tools/command_pages.py writes have every command and flag
that `--help` prints, and shells and man read them without a complaint.

Usage: pages_test.py QUDAG COMMAND_PAGES     exit code 0 right, 1 wrong
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# What comes after the words: each line is completed by the function that bash would call.
ASK_BASH = r"""source "$1"; compopt() { :; }
while IFS= read -r line; do
  read -ra COMP_WORDS <<<"$line"; [[ $line == *' ' ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _qudag
  echo "${COMPREPLY[*]}"
done"""
EXAMPLES = {"qudag sta": "status", "qudag send --priority ": "high normal low",
            "qudag testnet demo --message": "--messages --message-bytes",
            "qudag node --config x --cong": "--congestion",
            "qudag node --congestion b": "bbr", "qudag send --ttl ": ""}
CHECKERS = (("mandoc", ["-T", "lint", "-W", "warning"], "man/man?/*"),
            ("bash", ["-n"], "bash-completion/completions/qudag"),
            ("zsh", ["-n"], "zsh/site-functions/_qudag"),
            ("fish", ["-n"], "fish/vendor_completions.d/qudag.fish"))


def helped(program, words=()):
    """(words, flags) of the command and of those below it, as `--help` has them."""
    text = subprocess.run([program, *words, "--help"], check=True, text=True,
                          capture_output=True).stdout.split("Exit codes")[0]
    flags = re.findall(r"(?:^  |,)(--?[\w.-]+)", text, re.M)
    yield ("qudag", *words), flags
    inner = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.M)
    for name in re.findall(r"^  (\w\S*)", inner[1] if inner else "", re.M):
        yield from helped(program, (*words, name))


def asked_of_bash(script, lines):
    return subprocess.run(["bash", "-c", ASK_BASH, "_", script], input="\n".join(lines) + "\n",
                          check=True, text=True, capture_output=True).stdout.splitlines()


def faults(program, out):
    commands = list(helped(program))
    zsh = (out / "zsh/site-functions/_qudag").read_text()
    fish = (out / "fish/vendor_completions.d/qudag.fish").read_text()
    script = out / "bash-completion/completions/qudag"
    lines = [f"{' '.join(words)} -" for words, _ in commands]
    for (words, flags), offered in zip(commands, asked_of_bash(script, lines)):
        page = (out / f"man/man1/{'-'.join(words)}.1").read_text().replace("\\-", "-")
        body = zsh[zsh.index(f"_{'_'.join(words)}() {{"):].split("\n}\n")[0]
        for flag in flags:
            if f"fB{flag}\\fR" not in page:
                yield f"manual page of {' '.join(words)}: no {flag}"
            if flag not in offered.split():
                yield f"bash: {' '.join(words)}: no {flag}"
            if f"){flag}[" not in body and f"*{flag}[" not in body:
                yield f"zsh: {' '.join(words)}: no {flag}"
            if not re.search(r" -(l|s) " + re.escape(flag.lstrip("-")) + " ", fish):
                yield f"fish: no {flag}"
    keys = re.findall(r"fB([\w.\\-]+)\\fR = ", (out / "man/man5/qudag.toml.5").read_text())
    known = [flag[2:] for words, flags in commands if words == ("qudag", "node") for flag in flags]
    if len(keys) < 50 or not {key.replace("\\-", "-") for key in keys} <= set(known):
        yield f"qudag.toml(5) has {len(keys)} keys, and not those of `qudag node`"
    for (line, right), answer in zip(EXAMPLES.items(), asked_of_bash(script, EXAMPLES)):
        if answer != right:
            yield f"bash: {line!r} gives {answer!r}, not {right!r}"
    for name, flags, pattern in CHECKERS:
        if shutil.which(name):
            ran = subprocess.run([name, *flags, *sorted(out.glob(pattern))], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            # A page has no date, so that two builds of one source are the same.
            lines = [line for line in ran.stdout.splitlines() if "missing date" not in line]
            if lines or (ran.returncode != 0 and name != "mandoc"):
                yield f"{name}: " + "\n".join(lines[:20])


def main():
    program, tool = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, tool, program, folder], check=True)
        wrong = list(faults(program, pathlib.Path(folder)))
    print("\n".join(wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

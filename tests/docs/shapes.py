"""Whether the output of a command has the shape that a document shows.

Text: the lines of the document come in this order; an id, a number, an address or a path stands for
any of its kind, and `...` for any lines. JSON: every value of the document has one in the output
with the same names and kinds of values, and the same `outcome`, `code` and `priority`.
"""

import json
import re

SAME = ("outcome", "code", "priority")
TOKENS = re.compile(r"(?P<id>\b[a-z2-7]{52}\b)|(?P<hex>\b[0-9a-f]{32}\b)|(?P<address>[\w.]+:\d+\b)"
                    r"|(?P<path>/[\w./-]+)|(?P<number>\d+(?:\.\d+)?)|(?P<space>\s+)")
ANY = {"id": r"([a-z2-7]{52})", "hex": r"([0-9a-f]{32})", "address": r"([\w.]+:\d+)",
       "path": r"(/[\w./-]+)", "number": r"(\d+(?:\.\d+)?)", "space": r"(\s+)"}


def json_values(text):
    """The JSON objects of a text, which has nothing else; None if it has."""
    values, at, decoder = [], 0, json.JSONDecoder()
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return None
        values.append(value)
    return values if values and all(isinstance(value, dict) for value in values) else None


def json_lines(text):
    """The JSON objects among the lines of an output."""
    return [value for line in text.splitlines() for value in json_values(line) or []]


def same_shape(shown, found):
    if isinstance(shown, dict):
        return (isinstance(found, dict) and shown.keys() == found.keys()
                and all(same_shape(value, found[name]) and (name not in SAME or value == found[name])
                        for name, value in shown.items()))
    return type(shown) is type(found)


def compare(shown, output):
    """What is wrong, or None; and which words of the document stand for which of the output."""
    values = json_values(shown)
    if values is not None:
        rest = json_lines(output)
        for value in values:
            at = next((i for i, found in enumerate(rest) if same_shape(value, found)), None)
            if at is None:
                return f"nothing in the output looks like {json.dumps(value)}", {}
            del rest[at]
        return None, {}
    words, lines = {}, iter(output.splitlines())
    for line in shown.splitlines():
        if line.strip() in ("", "..."):
            continue
        tokens = list(TOKENS.finditer(line))
        pattern, at = "", 0
        for token in tokens:
            pattern += re.escape(line[at:token.start()]) + ANY[token.lastgroup]
            at = token.end()
        pattern = re.compile(pattern + re.escape(line[at:]))
        match = next(filter(None, (pattern.fullmatch(one) for one in lines)), None)
        if match is None:
            return f"nothing in the output looks like: {line}", {}
        for token, found in zip(tokens, match.groups()):
            if token.lastgroup in ("id", "path", "address"):
                words[token[0]] = found
    return None, words

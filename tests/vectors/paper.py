#!/usr/bin/env python3
"""docs/reference/protocol.md against the tree: the constants of section 10 are those of the code, every section
that a comment names is there, and tables have no row twice.

A constant that moved is named by what fails; put its new place into ROWS. Exit code 1 if anything
differs.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAPER = (ROOT / "docs/reference/protocol.md").read_text()

# Row of a table in section 10; file; what stands there, with the numbers as groups; what the row's
# second column has to contain, with these numbers in it.
ROWS = [
    ("handshake of a link", "src/link/endpoint.h", r"handshake_timeout\{(\d+)'000\}", "{} s"),
    ("the same, until the first packet", "src/link/endpoint.h", r"unanswered_max\{(\d+)'000\}",
     "{} s"),
    ("`silence`, after which a link in use ends", "src/shard/setup.cc",
     r"silence_max = 1'(\d)00ms", "1.{} s"),
    ("`silence`, after which a link in use ends", "src/link/lifecycle.h",
     r"max\(rules_->silence_max, (\d) \* probe\)", "{} probe times"),
    ("sign of life on a quiet link with circuits", "src/link/endpoint.h", r"keepalive\{(\d+)'000\}",
     "every {} s"),
    ("max_idle_timeout", "src/link/endpoint.h", r"idle_timeout\{(\d+)'000\}", "{} s"),
    ("age of a link", "include/qudag/options.h", r"link_lifetime\{(\d+) \* 3600\}", "{} h"),
    ("Retry token", "src/link/endpoint/receive.cc", r"kRetryTokenLife = std::chrono::seconds\((\d+)\)",
     "{} s"),
    ("NEW_TOKEN", "src/link/admission/address_tokens.h", r"kKeyLife\{(\d+) \* 3600\}", "{} to 24 h"),
    ("answers to late packets", "src/link/endpoint/flush.cc",
     r"kRetiredFor = std::chrono::milliseconds\((\d+)\)", "{} ms"),
    ("wait before an address is dialed again", "src/link/dialing/redial.h",
     r"first = std::chrono::milliseconds\((\d+)\);\s*Duration longest = std::chrono::seconds\((\d+)\)",
     "{} ms, doubling to {} s"),
    ("sign of life that was asked for", "src/link/connection/paths.cc",
     r"now.mono \+ (\d) \* probe_time\(\)", "{} probe times"),
    ("circuits after GOODBYE not 0", "src/link/endpoint.h", r" drain_max\{(\d+)'000\}", "{} s"),
    ("circuits after GOODBYE 0", "src/link/endpoint.h", r"replaced_drain_max\{(\d+) \* 60'000\}",
     "{} min"),
    ("end of a link after its last circuit, GOODBYE 0 on both sides", "src/link/lifecycle.cc",
     r"kLingerProbes = (\d)", "{} probe times"),
    ("LOAD", "src/netmap/routes/loads.h", r"kEvery = std::chrono::seconds\((\d+)\)", "every {} s a link"),
    ("LOAD", "src/shard/protection/load_reports.h", r"kRepeat = std::chrono::seconds\((\d+)\)",
     "again every {} s"),
    ("a LOAD counts", "src/netmap/routes/loads.h",
     r"kHolds = std::chrono::seconds\((\d+)\);\s*static constexpr Duration kForgotten = "
     r"std::chrono::seconds\((\d+)\)", "{} s whole, until {} s"),
    ("build: from the first byte of a stream to the end of the reply", "src/circuit/circuits.h",
     r"build_timeout\{(\d+)'000\}", "{} s"),
    ("reply with a status other than 0, until the hop resets", "src/circuit/relay.cc",
     r"kReplyLinger = std::chrono::seconds\((\d+)\)", "{} s"),
    ("build record: the latest expiry that is accepted *", "src/base/limits.h",
     r"kBuildLifetimeMax = (\d+)min", "{} min ahead"),
    ("rider; the longest route that carries one", "src/onion/build.h",
     r"unsigned kRiderHopsMax = (\d);", "{} hops"),
    ("epoch", "src/base/limits.h", r"kCellsPerKey = 1u << (16)", "65536 cells"),
    ("circuit without a cell", "src/circuit/circuits.h", r"idle_timeout\{(\d+)'000\}", "{} s"),
    ("circuit without a cell", "src/shard/protection/protection.cc", r"kCircuitQuiet = (\d+)s",
     "{} s under pressure"),
    ("age, volume of a circuit, then a new one takes its place", "src/message/messages.h",
     r"circuit_age_max\{(\d+)\}", "{} s"),
    ("age, volume of a circuit, then a new one takes its place", "src/message/messages.h",
     r"circuit_bytes_max = std::uint64_t\{(\d+)\} << 30", "{} GiB"),
    ("onion key: valid before it is made *", "src/shard/key_ring.cc",
     r"kClockSlackSeconds = (\d+)", "{} s"),
    ("onion key: life; a new one is made at half of it *", "include/qudag/options.h",
     r"onion_key_lifetime\{(\d+) \* 3600\}", "{} h"),
    ("descriptor: life; renewed at half of it *", "include/qudag/options.h",
     r"descriptor_lifetime\{(\d+) \* 3600\}", "{} h"),
    ("descriptor: life; renewed at half of it *", "src/base/limits.h",
     r"kDescriptorLifetimeMax = (\d+) \* 24h", "at most {} days"),
    ("descriptor published ahead of time *", "src/netmap/map/descriptor.h",
     r"kPublishedAheadMax = (\d+)00", "at most 10 min"),
    ("SUMMARY of all that is shown", "include/qudag/options.h", r"gossip_interval\{(\d+)\}",
     "every {} s"),
    ("a WANT again to another link, to the same", "src/netmap/gossip/gossip.cc",
     r"kAskAnotherAfter = (\d+)s;\s*constexpr Duration kAskAgainAfter = (\d+)s", "{} s, {} s"),
    ("a WANT may stay unanswered after its descriptor was sent", "src/netmap/gossip/gossip.cc",
     r"kOnItsWay = (\d+)s", "{} s"),
    ("time to live of a message", "src/base/limits.h", r"kTtlMax = (\d+)h", "to {} h at its sender"),
    ("(scope, message id) remembered", "src/message/receiver.cc", r"kRememberedAfter = (\d+)min",
     "{} min"),
    ("message without progress, when memory is short", "src/message/receiver.h",
     r"kStalledAfter = std::chrono::seconds\((\d+)\);\s*inline constexpr std::uint32_t kStalledShare "
     r"= (\d+)", "{} s for a {}th"),
    ("what came of a message whose circuit ended", "src/base/limits.h",
     r"kUnfinishedFor = (\d+)s", "{} s,"),
    ("message that may go on over another circuit; what is kept of it", "src/base/limits.h",
     r"kResumeFromBytes = (64) \* 1024", "more than 65536 bytes"),
    ("cell, high and normal priority; low", "src/base/limits.h",
     r"kSmallCellBytes = (\d+);.*\n.*kBulkCellBytes = (\d+);", "{}; {} bytes"),
    ("hops of a route", "src/base/limits.h", r"kRelaysMax = (5)", "1 to 6"),
    ("onion public key, KEM ciphertext", "src/base/limits.h",
     r"kKemPublicBytes = (\d+);\s*inline constexpr std::size_t kKemCiphertextBytes = (\d+)",
     "{}, {} bytes"),
    ("identity public key, signature", "src/crypto/identity.h",
     r"kIdentityPublicSize = (\d+);\s*inline constexpr std::size_t kSignatureSize = (\d+)",
     "{}, {} bytes"),
    ("body of a control frame", "src/base/limits.h", r"kControlFrameBytesMax = (16) \* 1024",
     "at most 16384"),
    ("an ASK may stay unanswered", "src/netmap/gossip/gossip.cc", r"kAnswerWithin = (\d+)s",
     "after {} s"),
    ("nibbles of a range of ids; parts of a SUMMARY; ranges of an ASK", "src/wire/gossip.h",
     r"kDepthMax = (\d+);\s*static constexpr std::size_t kParts = (\d+);", "at most {}; {}; at most 16"),
    ("entries of a DIGEST, ids of a WANT", "src/wire/gossip.h",
     r"kDigestEntriesMax = (\d+);\s*inline constexpr std::size_t kWantIdsMax = \1",
     "at most {} each"),
    ("first credit of each direction of a circuit", "src/wire/message_frames.h",
     r"kInitialCredit = 4'194'(304)", "4194304 bytes"),
    ("messages of a circuit that interleave", "src/wire/message_frames.h",
     r"kInterleavedMessagesMax = (\d+)", "at most {}"),
]


def section(number):
    start = PAPER.index(f"\n## {number}. ")
    end = PAPER.find("\n## ", start + 1)
    return PAPER[start:end if end > 0 else len(PAPER)]


def table_rows(text):
    """First column -> second, of every table."""
    out = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("| ") or len(cells) < 2:
            continue
        if cells[0] in out:
            yield f"section 10 has '{cells[0]}' twice"
        out[cells[0]] = cells[1]
    yield out


def wrong_constants():
    *twice, rows = table_rows(section(10))
    yield from twice
    for row, file, pattern, wanted in ROWS:
        found = re.search(pattern, (ROOT / file).read_text())
        if row not in rows:
            yield f"section 10 has no row '{row}'"
        elif found is None:
            yield f"'{row}': {file} has nothing like {pattern}"
        elif wanted.format(*found.groups()) not in rows[row]:
            yield f"'{row}' is '{rows[row]}', but {file} says '{wanted.format(*found.groups())}'"


def headings():
    return set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", PAPER, re.M))


def wrong_references():
    """A comment that names a section which is not there, and the same in the paper itself."""
    known = headings()
    for file in sorted(ROOT.glob("[sit]*/**/*")):
        if file.suffix not in {".cc", ".h", ".py", ".md"} or not file.is_file():
            continue
        for line in file.read_text(errors="replace").splitlines():
            at = line.find("protocol.md")
            if at < 0:
                continue
            for number in re.findall(r"(?:^`?,|sections?|and|to) (\d+(?:\.\d)?)\b", line[at + 11:]):
                if number not in known:
                    yield f"{file.relative_to(ROOT)}: protocol.md has no section {number}"
    own = re.sub(r"\((?:RFC|FIPS|SP|draft)[^)]*\)|RFC \d+(?:, [\d.]+)*|FIPS \d+, [\d.]+", "", PAPER)
    for number in re.findall(r"section (\d+(?:\.\d)?)", own) + re.findall(r"\((\d\.\d)\)", own):
        if number not in known:
            yield f"docs/reference/protocol.md names section {number}, which it does not have"


def main():
    problems = [*wrong_constants(), *wrong_references()]
    for problem in problems:
        print(problem)
    print(f"paper: {len(ROWS)} constants, {len(headings())} sections, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

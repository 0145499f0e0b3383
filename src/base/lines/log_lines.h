// Every line that a node may log at the levels info, warn and error, once: what happened, and what
// to do about it. The test docs.log_lines compares them with docs/guide/troubleshooting.md, which
// has a row for each, and finds lines that are logged without standing here.
//
// An id, an address or a text of somebody else's is an argument in sensitive() (base/log.h).
#pragma once

namespace qudag::lines {

// ---- Start and end ------------------------------------------------------------------------------
inline constexpr char kListens[] = "node {} listens on {} with {} shards";
inline constexpr char kStopped[] = "node {} has stopped";
inline constexpr char kAlone[] =
    "no bootstrap entry and no listen address: only programs of this machine can reach this node; "
    "for others set listen, such as 0.0.0.0:4433";
inline constexpr char kNoForgiving[] =
    "losses slow links down: congestion \"auto\" is plain CUBIC with this ngtcp2, which ./dev "
    "setup did not build";
inline constexpr char kKeysNotLocked[] =
    "keys are not locked in memory ({}): {} KiB would do (ulimit -l, LimitMEMLOCK)";
inline constexpr char kSmallBuffers[] =
    "UDP buffers are smaller than wanted ({} KiB for receiving, {} KiB for sending, of {}): bursts "
    "are lost; sysctl -w net.core.rmem_max={} net.core.wmem_max={}, and start the node again";

// ---- Joining ------------------------------------------------------------------------------------
inline constexpr char kJoined[] =
    "joined: {} links, {} relays that can be used together, {} nodes known";
inline constexpr char kNotJoinedAnyMore[] = "not joined any more: {}";
inline constexpr char kNotJoined[] =
    "not joined after {} s: {}; check the id and address of each bootstrap entry, that UDP to it "
    "can pass, and this machine's clock; this is not said again";
inline constexpr char kEntryRight[] = "bootstrap: {} is right now";
inline constexpr char kEntryWrong[] = "bootstrap: {}; it is tried again now and then";
inline constexpr char kReached[] = "others reach this node at an address that it publishes";
inline constexpr char kNotReached[] =
    "nobody has reached this node in {} minutes, though relays that it never dialed know of it, so "
    "they do not use it as a relay: open UDP port {} in the firewall or router, or name with "
    "`publish` the address at which others reach it, or set `relay = false`";
inline constexpr char kAddressesLate[] =
    "a shard is too far behind to hear that the addresses changed";
inline constexpr char kGuardsLost[] =
    "none of the {} guards is among the known relays: circuits wait for them or for new ones, "
    "which are drawn slowly on purpose; check the network of this machine";
inline constexpr char kGuardsBack[] = "{} of {} guards are among the known relays again";
inline constexpr char kReceiver[] = "receiver: {}";

// ---- The clock ----------------------------------------------------------------------------------
inline constexpr char kClockOff[] =
    "the clock of this machine is {} s {} those of peers in {} networks: set it right (NTP); from "
    "10 minutes on others do not take what this node publishes, and circuits fail";
inline constexpr char kClockRight[] = "the clock of this machine agrees with its peers' again";

// ---- Load ---------------------------------------------------------------------------------------
inline constexpr char kOverload[] = "overload: shard {} {} {}, {} is at {:.2f}";
inline constexpr char kRefused[] =
    "limits refused {} {} in the last {}: {}; if that is no flood, raise the limit "
    "(docs/reference/limits.md)";
inline constexpr char kHeartbeat[] =
    "up {}: {} links, {} circuits, {} nodes and {} relays known; {} in, {} out, {} relayed; memory "
    "{} of {}";

// ---- The quota ----------------------------------------------------------------------------------
inline constexpr char kQuotaLeaving[] =
    "quota: {} of the {} that this node gives to others in a month are used: it says that it is no "
    "relay, and circuits go elsewhere; the month turns in {}; to give more, raise limits.month and "
    "reload";
inline constexpr char kQuotaSpent[] =
    "quota: the {} of this month are used up: circuits of others are ended and refused until the "
    "month turns, in {}; what this node sends and receives itself goes on";
inline constexpr char kQuotaOpen[] = "quota: this node is a relay again: {}";

// ---- Files --------------------------------------------------------------------------------------
inline constexpr char kNoState[] = "no state directory: guards are drawn anew at every start";
inline constexpr char kStateReadOnly[] =
    "state directory: nothing can be written there; what this run learns is lost with it";
inline constexpr char kStateNone[] = "state directory: {}; nothing is kept over a restart";
inline constexpr char kStateAside[] = "state file {}: {}; it is {}, and begun anew";
inline constexpr char kStateFails[] =
    "state directory: {}; the node runs on, and what is new is lost if it ends now";
inline constexpr char kStateWorks[] = "state directory: it can be written again";
inline constexpr char kInbox[] = "inbox: {} messages wait, {}";
inline constexpr char kRecordsReplaced[] =
    "{}: {}; the file is kept as {}, and an empty one takes its place";
inline constexpr char kRecordsExpired[] = "{}: {} messages that nobody took in time are removed";
inline constexpr char kRecordsFail[] =
    "{}: it cannot be written: {}; messages are refused until it can be";
inline constexpr char kRecordsWork[] = "{}: it can be written again";
inline constexpr char kLetters[] = "letters: {} wait, for {} inboxes that were registered here";
inline constexpr char kLettersNoMemory[] =
    "letters: this keeper keeps none: limits.memory has no room for their table; raise it, or set "
    "limits.letters_bytes = 0";
inline constexpr char kLettersNone[] = "letters: this keeper keeps none: {}";
inline constexpr char kLettersTakenLost[] =
    "letters that are taken are not remembered over a restart: {}";

// ---- The configuration file ---------------------------------------------------------------------
inline constexpr char kReloaded[] =
    "configuration read again: {} changed; {} would take effect at the next start";
inline constexpr char kReloadFailed[] =
    "configuration: nothing is changed, because the file is wrong ({}): qudag check-config says "
    "where";

// ---- The program that embeds the node -----------------------------------------------------------
inline constexpr char kThrew[] =
    "a callback ({}) of the program has thrown: {}; this is not said again";
inline constexpr char kThrewSomething[] =
    "a callback ({}) of the program has thrown; this is not said again";

}  // namespace qudag::lines

// The bounds that the wire fixes, and those that follow from each other or that several modules
// use. The other defaults of an operator's settings are in include/qudag/options.h.
//
// Sizes that follow from each other are written as sums, and the relations are asserted here.
// Bounds that an operator can set are defaults; the key in the configuration file stands beside.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace qudag::limits {

using namespace std::chrono_literals;

// ---- Route --------------------------------------------------------------------------------------
inline constexpr unsigned kRelaysMax = 5;
inline constexpr unsigned kHopsMax = kRelaysMax + 1;  // the destination included

// ---- Cells (docs/reference/protocol.md, section 6) ----------------------------------------------
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kSmallCellBytes = 1024;  // high and normal priority
inline constexpr std::size_t kBulkCellBytes = 8192;   // low priority
// Each hop before the last replaces 16 bytes at the far end of a cell; the payload leaves that
// space free for the longest route, so that the destination does not learn the length of the
// route.
inline constexpr std::size_t kCellReserveBytes = kRelaysMax * kTagBytes;                 // 80
inline constexpr std::size_t kCellOverheadBytes = kTagBytes + kCellReserveBytes;         // 96
inline constexpr std::size_t kSmallPayloadBytes = kSmallCellBytes - kCellOverheadBytes;  // 928
inline constexpr std::size_t kBulkPayloadBytes = kBulkCellBytes - kCellOverheadBytes;    // 8096
inline constexpr std::uint64_t kCellsPerKey = 1u << 16;  // then the keys of that direction move on

// ---- Build (section 5) --------------------------------------------------------------------------
inline constexpr std::size_t kKemPublicBytes = 1216;
inline constexpr std::size_t kKemCiphertextBytes = 1120;
inline constexpr std::size_t kBuildRecordBytes = 1264;
inline constexpr std::size_t kBuildLayerBytes =
    kKemCiphertextBytes + kTagBytes + kBuildRecordBytes;                        // 2400
inline constexpr std::size_t kBuildMessageBytes = kHopsMax * kBuildLayerBytes;  // 14400
inline constexpr std::size_t kReplyRecordBytes = kKemCiphertextBytes + 16;      // 1136
inline constexpr std::size_t kReplyLayerBytes = kTagBytes + kReplyRecordBytes;  // 1152
inline constexpr std::size_t kReplyMessageBytes = kHopsMax * kReplyLayerBytes;  // 6912
inline constexpr auto kBuildLifetimeMax = 10min;  // how far ahead a build message may expire
// A source draws the expiry of each record from a span that begins at its time plus the difference
// between two clocks that is allowed for; rounded up to minutes. So a hop reads off the source's
// clock no more than the span, and takes the record whichever of the two clocks is ahead.
inline constexpr auto kClockDifferenceMax = 3min;
inline constexpr auto kBuildExpirySpread = 3min;
static_assert(2 * kClockDifferenceMax + kBuildExpirySpread + 1min <= kBuildLifetimeMax);
// Every build that is let in is remembered until it expires, so the replay window has an entry for
// each that the rate of admission lets in for so long, its burst of two seconds and a second of
// rounding included. Where a node's share of memory for it is smaller, admission is lowered to what
// fits (shard/setup.cc): a window that were full would refuse honest builds.
inline constexpr std::uint64_t kBuildsPerSecond = 2'000;  // `limits.builds_per_second`
inline constexpr std::uint64_t kReplaySeconds =
    std::chrono::duration_cast<std::chrono::seconds>(kBuildLifetimeMax).count() + 2 + 1;
inline constexpr std::size_t kReplayEntryBytes = 8;  // at most, with its part of the table
constexpr std::size_t replay_entries(std::uint64_t builds_per_second) {
  return static_cast<std::size_t>(builds_per_second * kReplaySeconds);
}
constexpr std::uint64_t builds_per_second(std::size_t replay_entries) {
  return replay_entries / kReplaySeconds;
}
inline constexpr std::size_t kReplayEntriesMax = replay_entries(kBuildsPerSecond);  // 1,206,000
inline constexpr std::size_t kReplayMemoryOneIn = 16;  // of limits.memory
static_assert(kBuildLayerBytes % 16 == 0 && kReplyLayerBytes % 16 == 0,
              "keystream positions are whole AES blocks");

inline constexpr std::size_t kCircuitsKeptOneIn = 16;  // of limits.circuits, for high priority
/// Times that a relay measures are shown where so many circuits have part in them.
inline constexpr std::size_t kCircuitsShownLeast = 10;

// ---- Messages (section 7) -----------------------------------------------------------------------
inline constexpr std::size_t kMessageBytesMax = std::size_t{64} << 20;
inline constexpr auto kTtlMax = 24h;

// ---- Netmap (section 8) -------------------------------------------------------------------------
inline constexpr std::size_t kDescriptorBytesMax = 8192;
inline constexpr std::size_t kDescriptorAddressesMax = 4;
inline constexpr std::size_t kDescriptorOnionKeysMax = 2;
inline constexpr auto kDescriptorLifetimeMax = 7 * 24h;
inline constexpr std::size_t kNetmapDescriptorsMax = 10'000;  // 65 MB on the wire, when full

// ---- Links (section 3 and 4) --------------------------------------------------------------------
inline constexpr std::size_t kControlFrameBytesMax = 16 * 1024;
// UDP payloads (docs/reference/protocol.md, section 3). The first fits the paths of the internet
// (1,500 less the headers of IPv6 and UDP), the second those of one machine or a data centre
// (9,000, less 48).
inline constexpr std::size_t kPacketBytesLeast = 1200;
inline constexpr std::size_t kPacketBytesPlain = 1452;
inline constexpr std::size_t kPacketBytesMax = 8952;  // `packet_bytes_max`
static_assert(kPacketBytesLeast < kPacketBytesPlain && kPacketBytesPlain < kPacketBytesMax);
inline constexpr std::size_t kShardsMax = 64;
static_assert(kDescriptorBytesMax + 64 <= kControlFrameBytesMax, "a descriptor fits one frame");

// ---- Waiting lines, of one shard (docs/reference/limits.md) -------------------------------------
inline constexpr std::size_t kLoopTasksMax = 16'384;       // posted by other threads
inline constexpr std::size_t kIntakeRequestsMax = 16'384;  // sends and replies of the application
inline constexpr std::size_t kIntakeHighMax = 10'240;      // and those of high priority
inline constexpr std::size_t kWorkerJobsMax = 1'024;       // of the node: signatures, keys, files
inline constexpr std::size_t kVerifiesWaitingMax = 512;    // descriptors of the node
// On one circuit a sender may be so many bytes ahead, and start so many messages without an answer:
// a whole window of small ones. The peer never owes more acknowledgements than that.
inline constexpr std::size_t kCreditBytes = std::size_t{4} << 20;
inline constexpr std::size_t kSmallMessageBytes = 256;
inline constexpr std::size_t kUnackedMax = kCreditBytes / kSmallMessageBytes;  // 16,384
inline constexpr std::size_t kControlFramesMax = kUnackedMax + 1'024;
inline constexpr std::size_t kPongFramesMax = 256;
// Marks for progress: one for each step within the window, and the ends of messages.
inline constexpr std::size_t kProgressStepBytes = 256 * 1024;
inline constexpr std::size_t kProgressMarksMax = 4 * (kCreditBytes / kProgressStepBytes);  // 64
// Messages that have not ended, by priority: `limits.queue_*`. All of them fit under the bound of
// the memory together, and each holds at least one message of any size.
inline constexpr std::size_t kQueueHighMax = 10'000;
inline constexpr std::size_t kQueueNormalMax = 50'000;
inline constexpr std::size_t kQueueLowMax = 100'000;
inline constexpr std::size_t kQueueHighBytes = kMessageBytesMax;
inline constexpr std::size_t kQueueNormalBytes = 2 * kMessageBytesMax;
inline constexpr std::size_t kQueueLowBytes = 4 * kMessageBytesMax;
inline constexpr std::size_t kMemoryBytes = std::size_t{512} << 20;  // `limits.memory`
// What came of larger messages is kept when their circuit ends, if it is so much, for so long: a
// source may wait 30 s before it dials a first hop again (message/known/unfinished.h).
inline constexpr std::size_t kResumeFromBytes = 64 * 1024;
inline constexpr auto kUnfinishedFor = 120s;
inline constexpr std::size_t kUnfinishedMax = 1'024;
inline constexpr std::size_t kUnfinishedOneIn = 2;  // of limits.memory, and a half of it by a link
static_assert(kMessageBytesMax <= kMemoryBytes / kUnfinishedOneIn / 2,
              "one link may leave a message of any size");
static_assert(kQueueHighBytes + kQueueNormalBytes + kQueueLowBytes < kMemoryBytes);
static_assert(kQueueHighMax < kQueueNormalMax && kQueueNormalMax < kQueueLowMax);
static_assert(kCreditBytes % kSmallMessageBytes == 0 && kCreditBytes % kProgressStepBytes == 0);
static_assert(kCreditBytes >= 2 * kBulkCellBytes * 16, "a window holds many cells");
static_assert(kIntakeHighMax >= kQueueHighMax, "a burst of high priority gets in at once");
static_assert(kNetmapDescriptorsMax * kDescriptorBytesMax <= kMemoryBytes / 4,
              "a full netmap fits its part of the memory");
static_assert(kReplayEntriesMax * kReplayEntryBytes <= kMemoryBytes / kReplayMemoryOneIn,
              "the default rate of builds needs no lowering with the default memory");
static_assert(builds_per_second((std::size_t{32} << 20) / kReplayMemoryOneIn / kReplayEntryBytes) >=
                  400,
              "the smallest node, 32 MiB, still takes builds");
static_assert(kVerifiesWaitingMax * kDescriptorBytesMax <= kMemoryBytes / 64);

}  // namespace qudag::limits

// The main job: a file and many messages through relays, every byte checked, and what each relay
// saw.
#pragma once

#include "commands.h"
#include "common/load.h"
#include "common/network.h"

namespace qudag::app {

struct FileResult {
  std::uint64_t bytes = 0;
  bool sha256_match = false;
  double seconds = 0;  ///< from the first byte posted to the outcome known
  double mb_per_s = 0;
  double cpu_seconds = 0;  ///< of all node processes, meanwhile
  Delivery delivery;
};

/// A circuit as one relay sees it, and nothing else.
struct RelayView {
  std::string relay;
  std::string priority;
  std::string previous;
  std::string next;
  std::uint64_t cells_forward = 0;
  std::uint64_t cells_backward = 0;
};

/// A receiver without an address (demo/receiver.h).
struct ReceiverResult {
  double invited_seconds = 0;  ///< from the start of its node to the contact at the caller
  LoadResult messages;
  FileResult file;
  std::uint64_t stored = 0;  ///< letters, while it was away
  std::string letter_error;  ///< of one that was not stored
  double store_seconds = 0;  ///< from the first letter to the last outcome
  std::uint64_t letters_received = 0;
  std::uint64_t letters_wrong = 0;  ///< changed, or seen twice
  double fetch_seconds = 0;         ///< from the start of its node to the last letter
  bool stopped_in_order = false;

  bool ok(const DemoArgs& args) const;
};

struct DemoResult {
  DemoArgs args;
  FileResult file;
  LoadResult messages;
  LoadResult unloaded;  ///< one message at a time
  LoadResult isolated;  ///< the same, each on a circuit of its own
  std::optional<ReceiverResult> receiver;
  std::uint64_t circuit_builds = 0;
  double circuit_build_ms = 0;  ///< median over the source's circuits
  std::vector<RelayView> relays;
  std::vector<std::string> tls;  ///< distinct "group signature" over all links of all nodes
  bool stopped_in_order = false;

  double cpu_s_per_gb() const {
    return file.bytes > 0 ? file.cpu_seconds / (static_cast<double>(file.bytes) / 1e9) : 0;
  }
  bool ok() const;
};

/// Sends `file` from one node to another as one message of low priority and compares its SHA-256.
Result<FileResult> send_file(const Network& network, const Network::Member& from,
                             const Network::Member& to, const std::filesystem::path& file,
                             unsigned relays, Interrupt& interrupt);
/// What relays say about circuits that carried cells.
Result<std::vector<RelayView>> relay_views(const Network& network);

std::string demo_json(const DemoResult& result);
std::string demo_table(const DemoResult& result);

}  // namespace qudag::app

// The WebSocket side of the client: many small sends, outcomes and received messages at full rate.
//
// A ClientLoop is one thread's event loop; it outlives the StreamClients that share it. Nothing
// runs unless run_until() runs, and handlers run inside it. Records that are queued while a write
// is under way go out together.
#pragma once

#include "api/records/bounds.h"
#include "api/records/records.h"

#include <filesystem>
#include <functional>
#include <memory>

namespace qudag::api {

class ClientLoop {
 public:
  ClientLoop();
  ~ClientLoop();
  ClientLoop(const ClientLoop&) = delete;
  ClientLoop& operator=(const ClientLoop&) = delete;

  /// Runs handlers until `done` says so (true), or `patience` is over (false). `done` is asked
  /// after every event, and every 50 ms.
  bool run_until(const std::function<bool()>& done, std::chrono::milliseconds patience);

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

class StreamClient {
 public:
  using Handler = std::function<void(const ServerRecord&)>;

  /// Connects and upgrades. Errors and `owner` as of Client.
  static Result<std::unique_ptr<StreamClient>> open(ClientLoop& loop,
                                                    const std::filesystem::path& socket,
                                                    Handler on_record,
                                                    std::optional<unsigned> owner = {});
  ~StreamClient();
  StreamClient(const StreamClient&) = delete;
  StreamClient& operator=(const StreamClient&) = delete;

  /// Queue a record; the payload is copied. too_large over kStreamInBytesMax.
  Status send(const SendRecord& record);
  Status reply(const ReplyRecord& record);
  /// Ends a send or reply: its OUTCOME says `cancelled`, or what was first; or NOT_CANCELLED comes.
  Status cancel(std::uint64_t request);
  /// Takes so many messages of that channel; 0: all. Waits until the node has said that they can
  /// come. `explicit_acks`: each has a token, and acknowledge() follows.
  Status subscribe(std::uint64_t count = 0, ChannelNumber channel = 0, bool explicit_acks = false);
  /// What became of a message with a token. Of one that there is not, the node ends the connection.
  Status acknowledge(const AcknowledgeRecord& record);
  void unsubscribe();

  /// Set when the connection has ended; then nothing more comes.
  const std::optional<Error>& ended() const;
  std::size_t queued_bytes() const;

  struct Impl;

 private:
  explicit StreamClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared with operations in flight
};

}  // namespace qudag::api

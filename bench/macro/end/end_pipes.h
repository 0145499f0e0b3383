// The services of the destination of a benchmark: `sink` takes what comes, `echo` sends it back.
#pragma once

#include <qudag/node.h>

#include <memory>
#include <mutex>
#include <vector>

namespace qudag::app::bench {

inline constexpr std::string_view kSink = "sink";
inline constexpr std::string_view kEchoes = "echo";

/// Lives longer than the node that it serves. serve() may be called from any thread.
class EndPipes {
 public:
  void serve(PipeOffer&& offer);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Pipe>> pipes_;
};

}  // namespace qudag::app::bench

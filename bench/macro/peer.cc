#include "peer.h"

#include "machine.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

namespace qudag::app::bench {

std::optional<PeerResult> run_peer(std::string_view name, std::size_t bytes, double seconds) {
  const auto program = build_directory() / "bench" / "peers" / fmt::format("bench_peer_{}", name);
  std::error_code no_throw;
  if (!std::filesystem::exists(program, no_throw)) return std::nullopt;
  const std::string command = fmt::format("'{}' {} {}", program.string(), bytes, seconds);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  PeerResult result;
  if (pipe == nullptr ||
      std::fscanf(pipe.get(), "%lf %lf %lf %lf", &result.rate, &result.rtt_p50_us,
                  &result.rtt_p99_us, &result.cpu_s_per_gb) != 4) {
    return std::nullopt;
  }
  return result;
}

}  // namespace qudag::app::bench

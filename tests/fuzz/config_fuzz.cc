// modules: config
// Any text as a configuration file: accepted, or refused as config_invalid with a place.
#include "config/file.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64 * 1024) return 0;
  qudag::config::Settings settings;
  const qudag::Status status =
      qudag::config::apply_config(settings, {reinterpret_cast<const char*>(data), size}, "f.toml");
  if (status) return 0;
  if (status.error().code != qudag::Errc::config_invalid) std::abort();
  if (!status.error().detail.starts_with("f.toml:")) std::abort();
  return 0;
}

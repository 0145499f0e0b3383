// The known word that a mistyped one most likely means: keys of the file, flags and commands.
#pragma once

#include <span>
#include <string_view>

namespace qudag::config {

/// Empty if none is close.
std::string_view closest(std::string_view word, std::span<const std::string_view> known);

}  // namespace qudag::config

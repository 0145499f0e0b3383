// A QR code in a terminal, two modules a character. The one place that knows libqrencode.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace qudag::app {

/// Lines of block characters in black on white, with a margin; nothing if the text is too long for
/// one. `text` is read in capitals: letters, digits and ':' make a smaller code than other bytes.
std::optional<std::string> qr_code(std::string_view text);

}  // namespace qudag::app

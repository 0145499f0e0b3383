// Names of the ciphers and congestion controls of include/qudag/options.h.
#include <qudag/options.h>

namespace qudag {

std::string_view name_of(Cipher cipher) noexcept {
  switch (cipher) {
    case Cipher::automatic:
      return "auto";
    case Cipher::aes_256_gcm:
      return "aes-256-gcm";
    case Cipher::chacha20_poly1305:
      return "chacha20-poly1305";
  }
  return "unknown";
}

std::string_view name_of(Congestion congestion) noexcept {
  switch (congestion) {
    case Congestion::automatic:
      return "auto";
    case Congestion::cubic:
      return "cubic";
    case Congestion::bbr:
      return "bbr";
  }
  return "unknown";
}

}  // namespace qudag

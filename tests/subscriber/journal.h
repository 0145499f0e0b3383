// What a subscriber has handled: an entry for each message, in a file that outlives its process.
#pragma once

#include "base/bytes.h"
#include "base/posix.h"

#include <qudag/message.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace qudag::test {

struct Handled {
  static constexpr std::size_t kBytes = 8 + MessageId::kSize;

  std::uint64_t number = 0;  // as its sender wrote it into the payload
  MessageId id;
};

inline std::vector<Handled> read_journal(const std::filesystem::path& file) {
  std::vector<Handled> out;
  std::ifstream in(file, std::ios::binary);
  std::array<std::byte, Handled::kBytes> entry;
  while (in.read(reinterpret_cast<char*>(entry.data()), entry.size())) {
    Handled& one =
        out.emplace_back(Handled{.number = load_be<std::uint64_t>(entry.data()), .id = {}});
    std::memcpy(one.id.bytes.data(), entry.data() + 8, MessageId::kSize);
  }
  return out;
}

/// One write for each entry: it is there as a whole or not at all when the process is killed.
class Journal {
 public:
  explicit Journal(const std::filesystem::path& file)
      : fd_(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}
  bool add(const Handled& one) {
    std::array<std::byte, Handled::kBytes> entry;
    store_be(entry.data(), one.number);
    std::memcpy(entry.data() + 8, one.id.bytes.data(), MessageId::kSize);
    return ::write(fd_.get(), entry.data(), entry.size()) == static_cast<ssize_t>(entry.size());
  }

 private:
  Fd fd_;
};

}  // namespace qudag::test

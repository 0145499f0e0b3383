// A directory of its own for records, and small ways to say what is in them.
#pragma once

#include "store/record_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace qudag::store::test {

class TemporaryDirectory {
 public:
  enum class On { disk, memory };
  /// In memory, where there is such a place: for what asks nothing of the disk.
  explicit TemporaryDirectory(On on = On::disk) {
    const bool memory = on == On::memory && std::filesystem::is_directory("/dev/shm");
    const std::filesystem::path parent =
        memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
    std::string name = (parent / "qudag-records-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline constexpr Quota kAmple{
    .records_max = 100'000, .bytes_max = std::uint64_t{1} << 30, .seen_max = 1'000};
inline constexpr UnixSeconds kNow = 1'800'000'000;

inline Box box(std::string_view name) {
  const Bytes bytes = as_bytes(name);
  return {bytes.begin(), bytes.end()};
}

inline RecordKey key(std::uint32_t number) {
  RecordKey out{};
  store_be(out.data(), number);
  return out;
}

inline RecordName name(std::uint32_t number, std::string_view of = "box") {
  return {.box = box(of), .key = key(number), .expires = kNow + 1'000, .resent = kNow + 60};
}

/// `bytes` bytes that follow from the number.
inline std::vector<std::byte> body(std::uint32_t number, std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>(number * 31 + i * 7);
  return out;
}

inline std::unique_ptr<RecordFile> open(const std::filesystem::path& file,
                                        const Quota& quota = kAmple) {
  if (!std::filesystem::exists(file)) std::fclose(std::fopen(file.c_str(), "wb"));
  auto opened = RecordFile::open(file, quota);
  EXPECT_TRUE(opened) << opened.error().message();
  return opened ? std::move(*opened) : nullptr;
}

inline Added add(RecordFile& file, const RecordName& name, Bytes body) {
  EXPECT_TRUE(file.begin());
  const auto added = file.add(name, std::span(&body, 1), kNow);
  EXPECT_TRUE(added) << added.error().message();
  EXPECT_TRUE(file.commit());
  return added.value_or(Added::full);
}

inline Status remove(RecordFile& file, std::uint64_t number, UnixSeconds now = kNow) {
  EXPECT_TRUE(file.begin());
  const Status removed = file.remove(number, now);
  EXPECT_TRUE(file.commit());
  return removed;
}

inline Result<std::vector<std::byte>> read(RecordFile& file, const RecordHead& head) {
  std::vector<std::byte> out(head.bytes);
  const MutableBytes piece(out);
  if (auto done = file.read(head, std::span(&piece, 1)); !done) {
    return std::unexpected(done.error());
  }
  return out;
}

}  // namespace qudag::store::test

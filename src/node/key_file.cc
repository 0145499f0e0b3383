// Saving:  1. open with O_EXCL and mode 0600; 2. write; 3. fsync the file and its folder.
// Loading: 1. open; 2. check kind, mode and size of what is open, not of
//          the path; 3. read, parse strictly, wipe.
#include "node/key_file.h"

#include "store/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace qudag::node {
namespace {

constexpr std::string_view kTitle = "qudag identity 1\n";
constexpr std::size_t kHexSize = 2 * crypto::kIdentitySeedSize;
constexpr std::size_t kFileSize = kTitle.size() + kHexSize + 1;
using FileText = Secret<kFileSize>;

using store::failed;
using store::read_all;
using store::write_all;

/// So that a power cut does not lose the name of a file whose bytes are safe.
bool sync_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return dir.get() >= 0 && ::fsync(dir.get()) == 0;
}

FileText format(const Secret<crypto::kIdentitySeedSize>& seed) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  FileText text;
  ByteWriter out(text.span());
  out.put(as_bytes(kTitle));
  for (const std::byte b : seed.span()) {
    out.u8(static_cast<std::uint8_t>(kDigits[std::to_integer<std::size_t>(b >> 4)]));
    out.u8(static_cast<std::uint8_t>(kDigits[std::to_integer<std::size_t>(b & std::byte{15})]));
  }
  out.u8('\n');
  return text;
}

int digit(std::byte c) {
  const auto v = std::to_integer<int>(c);
  if (v >= '0' && v <= '9') return v - '0';
  if (v >= 'a' && v <= 'f') return v - 'a' + 10;
  return -1;
}

bool parse(Bytes text, Secret<crypto::kIdentitySeedSize>& seed) {
  if (text.size() != kFileSize || text.back() != std::byte{'\n'}) return false;
  if (std::memcmp(text.data(), kTitle.data(), kTitle.size()) != 0) return false;
  const Bytes hex = text.subspan(kTitle.size(), kHexSize);
  for (std::size_t i = 0; i < seed.size(); ++i) {
    const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    seed.span()[i] = static_cast<std::byte>(high * 16 + low);
  }
  return true;
}

}  // namespace

Status save_identity(const std::string& path, const crypto::Identity& identity) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return failed("create", path, errno);
  const FileText text = format(identity.seed());
  // The umask may have taken the owner's bits; what is wanted is exactly 0600.
  if (::fchmod(file.get(), 0600) != 0 || !write_all(file.get(), text.span()) ||
      ::fsync(file.get()) != 0 || !file.close() || !sync_folder(path)) {
    const int error = errno;
    ::unlink(path.c_str());
    return failed("write", path, error);
  }
  return {};
}

Result<crypto::Identity> load_identity(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not hang; it is refused below.
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) {
    return fail(Errc::not_found, path + ": no such file; `qudag keygen " + path + "` makes one");
  }
  if (file.get() < 0) return failed("open", path, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed("stat", path, errno);
  if (!S_ISREG(info.st_mode)) return fail(Errc::malformed, path + " is not a regular file");
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(Errc::permission_denied,
                path + " is open to group or others; chmod 600 it, or make a new identity");
  }
  Secret<kFileSize + 1> text;  // one more, to see that the file does not go on
  const ssize_t size = read_all(file.get(), text.span());
  if (size < 0) return failed("read", path, errno);
  Secret<crypto::kIdentitySeedSize> seed;
  const Bytes seen = text.span();
  if (!parse(seen.first(static_cast<std::size_t>(size)), seed)) {
    return fail(Errc::malformed, path + " is not an identity file of version 1");
  }
  return crypto::Identity::from_seed(
      std::span<const std::byte, crypto::kIdentitySeedSize>(seed.span()));
}

Result<crypto::Identity> parse_identity(Bytes text) {
  Secret<crypto::kIdentitySeedSize> seed;
  if (!parse(text, seed)) return fail(Errc::malformed, "not an identity of version 1");
  return crypto::Identity::from_seed(
      std::span<const std::byte, crypto::kIdentitySeedSize>(seed.span()));
}

}  // namespace qudag::node

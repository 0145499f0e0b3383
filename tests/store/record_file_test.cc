// The file of records: order, keys, quota, expiry, and what a damaged one does.
#include "record_kit.h"

#include <fstream>
#include <iterator>
#include <random>

namespace qudag::store::test {
namespace {

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

TEST(RecordFile, KeepsRecordsInTheirOrderOverARestart) {
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto file = open(directory / "f");
    EXPECT_EQ(file->records(), i);
    const auto first = body(i, i * 1'000), second = body(i + 100, 3);
    const Bytes pieces[] = {first, second};
    ASSERT_TRUE(file->begin());
    EXPECT_EQ(file->add(name(i, i % 2 == 0 ? "even" : "odd"), pieces, kNow).value(), Added::stored);
    ASSERT_TRUE(file->commit());
  }
  const auto file = open(directory / "f");
  EXPECT_EQ(file->boxes().value().size(), 2u);
  const auto heads = file->list(box("odd"), 0, 100, kNow).value();
  ASSERT_EQ(heads.size(), 10u);
  for (std::uint32_t i = 0; i < heads.size(); ++i) {
    EXPECT_EQ(heads[i].name.key, key(2 * i + 1));
    EXPECT_EQ(heads[i].name.expires, kNow + 1'000);
    auto whole = body(2 * i + 1, (2 * i + 1) * 1'000);
    const auto rest = body(2 * i + 101, 3);
    whole.insert(whole.end(), rest.begin(), rest.end());
    EXPECT_EQ(read(*file, heads[i]).value(), whole);
  }
  const auto later = file->list(box("odd"), heads[3].number, 2, kNow).value();
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(later[0].number, heads[4].number);
}

TEST(RecordFile, ALargeRecordIsReadBackInPieces) {
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  const auto file = open(directory / "f");
  const auto large = body(1, (64u << 20) + 64);
  EXPECT_EQ(add(*file, name(1), large), Added::stored);
  const auto heads = file->list(box("box"), 0, 1, kNow).value();
  ASSERT_EQ(heads.size(), 1u);
  EXPECT_TRUE(read(*file, heads[0]).value() == large);
}

TEST(RecordFile, AKeyIsKeptOnceAndRememberedWhileItMayComeAgain) {
  const TemporaryDirectory directory;
  {
    const auto file = open(directory / "f");
    EXPECT_EQ(add(*file, name(1), as_bytes("a")), Added::stored);
    EXPECT_EQ(add(*file, name(1), as_bytes("a")), Added::known);
    EXPECT_EQ(add(*file, name(1, "other"), as_bytes("a")), Added::stored) << "of another box";
    ASSERT_TRUE(remove(*file, 1));
  }
  const auto file = open(directory / "f");
  EXPECT_EQ(file->records(), 1u);
  EXPECT_EQ(file->seen(), 1u);
  EXPECT_EQ(add(*file, name(1), as_bytes("a")), Added::known) << "it was taken before the restart";
  ASSERT_TRUE(file->begin());
  EXPECT_TRUE(file->expire(kNow + 61, 10).value().empty());
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(file->seen(), 0u);
  EXPECT_EQ(add(*file, name(1), as_bytes("a")), Added::stored) << "nobody sends it again so late";
}

TEST(RecordFile, RemembersAsManyKeysAsTheQuotaSays) {
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  Quota quota = kAmple;
  quota.seen_max = 8;
  const auto file = open(directory / "f", quota);
  for (std::uint32_t i = 0; i < 40; ++i) {
    EXPECT_EQ(add(*file, name(i), {}), Added::stored);
    ASSERT_TRUE(remove(*file, i + 1));
    EXPECT_LE(file->seen(), 8u);
  }
  EXPECT_EQ(add(*file, name(39), {}), Added::known);
}

TEST(RecordFile, TheQuotaCountsRecordsAndBytes) {
  const TemporaryDirectory directory;
  const Quota quota{.records_max = 3, .bytes_max = 3 * kRecordCost + 100, .seen_max = 10};
  {
    const auto file = open(directory / "f", quota);
    EXPECT_EQ(add(*file, name(1), body(1, 101)), Added::stored);
    EXPECT_EQ(add(*file, name(2), body(2, kRecordCost)), Added::full);
    EXPECT_EQ(add(*file, name(2), {}), Added::stored);
    EXPECT_EQ(add(*file, name(3), {}), Added::full) << "one byte";
    ASSERT_TRUE(remove(*file, 1));
    for (std::uint32_t i = 3; i < 5; ++i) EXPECT_EQ(add(*file, name(i), {}), Added::stored);
  }
  const auto file = open(directory / "f", quota);
  EXPECT_EQ(file->bytes(), 3 * kRecordCost);
  EXPECT_EQ(add(*file, name(9), {}), Added::full) << "records";
  EXPECT_EQ(add(*file, name(4), {}), Added::known) << "no room is needed for that";
}

TEST(RecordFile, WhatIsNotCommittedIsNotThere) {
  const TemporaryDirectory directory;
  const auto file = open(directory / "f");
  EXPECT_EQ(add(*file, name(1), as_bytes("a")), Added::stored);
  ASSERT_TRUE(file->begin());
  const Bytes piece = as_bytes("b");
  EXPECT_EQ(file->add(name(2), std::span(&piece, 1), kNow).value(), Added::stored);
  ASSERT_TRUE(file->remove(1, kNow));
  file->rollback();
  EXPECT_EQ(file->records(), 1u);
  EXPECT_EQ(file->bytes(), 1 + kRecordCost);
  EXPECT_EQ(file->seen(), 0u);
  EXPECT_EQ(file->list(box("box"), 0, 10, kNow).value().size(), 1u);
}

TEST(RecordFile, WhatHasExpiredGoesAndTheFileShrinks) {
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  const auto file = open(directory / "f");
  for (std::uint32_t i = 0; i < 100; ++i) {
    RecordName one = name(i);
    one.expires = kNow + 10 + i;
    EXPECT_EQ(add(*file, one, body(i, 20'000)), Added::stored);
  }
  ASSERT_TRUE(file->tidy());
  EXPECT_EQ(file->list(box("box"), 0, 1'000, kNow + 59).value().size(), 50u);
  ASSERT_TRUE(file->begin());
  EXPECT_EQ(file->expire(kNow + 59, 40).value().size(), 40u);
  EXPECT_EQ(file->expire(kNow + 59, 40).value().size(), 10u);
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(file->records(), 50u);
  ASSERT_TRUE(file->begin());
  EXPECT_EQ(file->expire(kNow + 500, 1'000).value().size(), 50u);
  ASSERT_TRUE(file->commit());
  ASSERT_TRUE(file->tidy());
  EXPECT_EQ(file->bytes(), 0u);
  EXPECT_LT(std::filesystem::file_size(directory / "f"), 200'000u);
  EXPECT_EQ(std::filesystem::file_size(directory / "f-wal"), 0u);
}

TEST(RecordFile, WhatWasTakenIsOverwritten) {
  const TemporaryDirectory directory;
  const auto file = open(directory / "f");
  const std::string secret = "the secret word of this test";
  EXPECT_EQ(add(*file, name(1), as_bytes(secret)), Added::stored);
  const auto all = [&] { return content(directory / "f") + content(directory / "f-wal"); };
  EXPECT_NE(all().find(secret), std::string::npos) << "in the clear, as the documents say";
  ASSERT_TRUE(remove(*file, 1));
  ASSERT_TRUE(file->tidy());
  EXPECT_EQ(all().find(secret), std::string::npos);
}

TEST(RecordFile, AnotherDatabaseAndAnotherVersionAreRefused) {
  const TemporaryDirectory directory;
  write(directory / "text", std::string(10'000, 'x'));
  EXPECT_EQ(RecordFile::open(directory / "text", kAmple).error().code, Errc::malformed);
  const auto other = [&](const char* sql) {
    write(directory / "f", "");
    EXPECT_TRUE(Database::open(directory / "f").value()->run(sql));
    const auto opened = RecordFile::open(directory / "f", kAmple);
    const Errc code = opened ? Errc::ok : opened.error().code;
    std::filesystem::remove(directory / "f");
    return code;
  };
  EXPECT_EQ(other("CREATE TABLE record (number)"), Errc::malformed);
  EXPECT_EQ(other("PRAGMA application_id=1902405458; PRAGMA user_version=2; CREATE TABLE t (x)"),
            Errc::unsupported);
  EXPECT_EQ(other("PRAGMA application_id=1902405458; PRAGMA user_version=1; CREATE TABLE t (x)"),
            Errc::malformed)
      << "its tables are missing";
}

// ---- damage -------------------------------------------------------------------------------------

/// A file with 40 records, wholly in the file itself, or with the last ones in the log.
struct Sample {
  explicit Sample(bool in_log) {
    const TemporaryDirectory directory(TemporaryDirectory::On::memory);
    {
      const auto written = open(directory / "f");
      for (std::uint32_t i = 0; i < 40; ++i) {
        EXPECT_EQ(add(*written, name(i), body(i, 100 + i * 150)), Added::stored);
      }
      if (in_log) {
        file = content(directory / "f");
        log = content(directory / "f-wal");
      }
    }
    if (!in_log) file = content(directory / "f");
  }
  std::string file, log;
};

enum class Found { damaged, whole };

/// Opens what is there and reads all of it: whatever it says is true. How many records there are.
std::size_t read_all(const std::filesystem::path& path, Found& found) {
  found = Found::damaged;
  auto file = RecordFile::open(path, kAmple);
  if (!file) {
    EXPECT_EQ(file.error().code, Errc::malformed) << file.error().message();
    return 0;
  }
  const auto heads = (*file)->list(box("box"), 0, 1'000, kNow);
  if (!heads) return 0;
  std::size_t read_well = 0;
  for (const RecordHead& head : *heads) {
    const auto got = read(**file, head);
    if (!got) continue;
    const auto number = load_be<std::uint32_t>(head.name.key.data());
    EXPECT_EQ(*got, body(number, 100 + number * 150)) << "read, and wrong";
    ++read_well;
  }
  found = read_well == heads->size() ? Found::whole : Found::damaged;
  return read_well;
}

TEST(RecordFile, ALogThatIsCutOffAnywhereGivesWhatWasCommittedBefore) {
  const Sample sample(true);
  ASSERT_GT(sample.log.size(), 100'000u);
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  std::size_t before = 0;
  for (std::size_t size = 0; size <= sample.log.size(); size += 7'531) {
    write(directory / "f", sample.file);
    write(directory / "f-wal", sample.log.substr(0, size));
    Found found = Found::damaged;
    const std::size_t records = read_all(directory / "f", found);
    EXPECT_EQ(found, Found::whole) << size;
    EXPECT_GE(records, before) << size;
    before = records;
  }
  EXPECT_GE(before, 39u);
}

TEST(RecordFile, AFileThatIsCutOffAnywhereIsDamagedOrWhole) {
  const Sample sample(false);
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  std::size_t damaged = 0;
  for (std::size_t size = 1; size < sample.file.size(); size += 3'001) {
    write(directory / "f", sample.file.substr(0, size));
    Found found = Found::whole;
    read_all(directory / "f", found);
    damaged += found == Found::damaged ? 1 : 0;
  }
  EXPECT_GT(damaged, 10u);
}

TEST(RecordFile, BytesThatChangedAreFoundOrChangeNothing) {
  const Sample sample(false);
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  std::mt19937 random(20'261'129);
  std::size_t damaged = 0;
  for (int i = 0; i < 300; ++i) {
    std::string changed = sample.file;
    const std::size_t at = random() % changed.size();
    changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(1u << random() % 8));
    write(directory / "f", changed);
    std::filesystem::remove(directory / "f-wal");
    Found found = Found::whole;
    read_all(directory / "f", found);
    damaged += found == Found::damaged ? 1 : 0;
  }
  EXPECT_GT(damaged, 100u);
}

TEST(RecordFile, AChangedBodyIsNotReadAndHidden) {
  const TemporaryDirectory directory(TemporaryDirectory::On::memory);
  {
    const auto file = open(directory / "f");
    EXPECT_EQ(add(*file, name(1), as_bytes("a body that is easily found")), Added::stored);
    EXPECT_EQ(add(*file, name(2), as_bytes("the next one")), Added::stored);
  }
  std::string all = content(directory / "f");
  all[all.find("easily")] = 'E';
  write(directory / "f", all);
  const auto file = open(directory / "f");
  const auto heads = file->list(box("box"), 0, 10, kNow).value();
  ASSERT_EQ(heads.size(), 2u);
  EXPECT_EQ(read(*file, heads[0]).error().code, Errc::authentication_failed);
  EXPECT_TRUE(read(*file, heads[1]));
  ASSERT_TRUE(file->begin());
  ASSERT_TRUE(file->set_unreadable(heads[0].number));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(file->list(box("box"), 0, 10, kNow).value().size(), 1u);
  EXPECT_EQ(file->boxes().value().size(), 1u);
  EXPECT_EQ(file->records(), 2u) << "it stays until it expires";
}

}  // namespace
}  // namespace qudag::store::test

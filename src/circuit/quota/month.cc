#include "circuit/quota/month.h"

#include <algorithm>

namespace qudag::circuit {
namespace {

using std::chrono::sys_days, std::chrono::year_month_day, std::chrono::seconds;

/// Of the year 4999: no clock says more. The account's own goes on from there.
constexpr UnixSeconds kLast = 95'617'583'999;

UnixSeconds held(UnixSeconds at) { return std::min(at, kLast); }

year_month_day day_of(UnixSeconds at) {
  return year_month_day(std::chrono::floor<std::chrono::days>(
      std::chrono::sys_seconds(seconds(static_cast<std::int64_t>(at)))));
}

int month_of(UnixSeconds at) {
  const year_month_day day = day_of(at);
  return int(day.year()) * 12 + static_cast<int>(unsigned(day.month()));
}

}  // namespace

std::array<std::byte, KeptMonth::kBytes> KeptMonth::encode() const {
  std::array<std::byte, kBytes> out;
  ByteWriter writer(out);
  writer.u64(clock);
  writer.u64(used);
  return out;
}

Result<KeptMonth> KeptMonth::parse(Bytes body) {
  if (body.size() != kBytes) return fail(Errc::malformed, "its length is wrong");
  ByteReader in(body);
  const KeptMonth out{.clock = in.u64(), .used = in.u64()};
  if (out.clock > kLast) return fail(Errc::malformed, "its time is no time");
  if (out.used > kUsedMost) return fail(Errc::malformed, "it is more than a month can have");
  return out;
}

MonthClock::MonthClock(std::optional<UnixSeconds> kept, Now now)
    : began_(now.mono),
      set_at_(now.mono),
      set_to_(held(kept.value_or(now.unix_seconds))),
      month_(month_of(set_to_)) {}

UnixSeconds MonthClock::at(TimePoint mono) const {
  const auto since = std::chrono::floor<seconds>(std::max(mono - set_at_, Duration{}));
  return set_to_ + static_cast<UnixSeconds>(since.count());
}

void MonthClock::set(UnixSeconds to, TimePoint mono) {
  set_to_ = to;
  set_at_ = mono;
}

bool MonthClock::tick(Now now, std::optional<std::int64_t> off) {
  const UnixSeconds wall = held(now.unix_seconds), is = at(now.mono);
  if (off) {
    judged_ = true;
    constexpr auto kMost = static_cast<std::int64_t>(kLast);
    const std::int64_t ahead = std::clamp(*off, -kMost, kMost);
    const auto peers = static_cast<UnixSeconds>(
        std::clamp<std::int64_t>(static_cast<std::int64_t>(wall) - ahead, 0, kMost));
    const auto [first, last] = std::minmax(wall, peers);
    if (first > is) {
      set(first, now.mono);
    } else if (last + kBackSeconds < is) {
      set(last, now.mono);
    }
  } else if (!judged_ && now.mono - began_ >= kPatience) {
    judged_ = true;
    if (wall > is) set(wall, now.mono);
  }
  const int before = std::exchange(month_, month_of(at(now.mono)));
  return month_ > before;
}

std::chrono::seconds MonthClock::until_turn(TimePoint mono) const {
  const UnixSeconds is = at(mono);
  const year_month_day day = day_of(is);
  const sys_days turn = day.year() / day.month() / 1 + std::chrono::months(1);
  return turn - std::chrono::sys_seconds(seconds(static_cast<std::int64_t>(is)));
}

QuotaStage stage_of(std::uint64_t used, std::uint64_t month) {
  if (month == 0) return QuotaStage::open;
  if (used >= month) return QuotaStage::spent;
  const std::uint64_t left = month - used;
  if (left <= month / 40) return QuotaStage::closed;
  return left <= month / 20 ? QuotaStage::leaving : QuotaStage::open;
}

}  // namespace qudag::circuit

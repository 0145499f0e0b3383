// What the inbox counts, and the table of its metrics.
#pragma once

#include "store/records.h"
#include "telemetry/metric.h"

#include <cstdint>

namespace qudag::node {

struct InboxStats : store::RecordsReport {
  std::uint64_t in_hand = 0;
  std::uint64_t handed_out = 0;
  std::uint64_t came_back = 0;
};

namespace metrics {

using telemetry::Kind, telemetry::label, telemetry::no_label, telemetry::same;

inline constexpr telemetry::Metric<InboxStats> kInbox[] = {
    {{"qudag_inbox_messages", "Messages that the inbox keeps.", Kind::gauge},
     no_label,
     &InboxStats::records},
    {{"qudag_inbox_bytes", "Bytes that they count against inbox.bytes.", Kind::gauge},
     no_label,
     &InboxStats::bytes},
    {{"qudag_inbox_in_hand", "Of them, handed out and not yet acknowledged.", Kind::gauge},
     no_label,
     &InboxStats::in_hand},
    {{"qudag_inbox_added_total", "Messages that came to the inbox, by what became of them."},
     label("result", "stored"),
     &InboxStats::stored},
    {same, label("result", "known"), &InboxStats::known},
    {same, label("result", "full"), &InboxStats::full},
    {same, label("result", "failed"), &InboxStats::failed},
    {{"qudag_inbox_handed_out_total", "Messages of the inbox that an application took in hand."},
     no_label,
     &InboxStats::handed_out},
    {{"qudag_inbox_came_back_total", "Of them, given back by the application or its connection."},
     no_label,
     &InboxStats::came_back},
    {{"qudag_inbox_removed_total", "Messages that left the inbox, by the reason."},
     label("reason", "taken"),
     &InboxStats::removed},
    {same, label("reason", "expired"), &InboxStats::expired},
    {{"qudag_inbox_unreadable_total", "Messages of the inbox that were changed on the disk."},
     no_label,
     &InboxStats::unreadable},
    {{"qudag_inbox_commits_total", "Commits of the inbox's file."}, no_label, &InboxStats::commits},
    {{"qudag_inbox_replaced_total", "Times that a damaged file was set aside and begun anew."},
     no_label,
     &InboxStats::replaced},
    {{"qudag_inbox_failing",
      "Whether the inbox refuses what comes because it cannot be written: 1.", Kind::gauge},
     no_label,
     [](const InboxStats& stats) { return stats.failing ? 1.0 : 0.0; }},
};
static_assert(telemetry::valid(kInbox));

}  // namespace metrics
}  // namespace qudag::node

// What happened between two samples, by hand.
#include "samples.h"

#include <gtest/gtest.h>

namespace qudag::app::test {
namespace {

TEST(Figures, RatesAreDifferencesOverTheTimeBetween) {
  const Sample before = sample(10,
                               "qudag_link_bytes_total{direction=\"out\",priority=\"low\"} 1000\n"
                               "qudag_messages_total{result=\"accepted\",priority=\"low\"} 10\n"
                               "qudag_messages_total{result=\"expired\",priority=\"low\"} 1\n");
  const Sample now = sample(12,
                            "qudag_link_bytes_total{direction=\"out\",priority=\"low\"} 5096\n"
                            "qudag_link_bytes_total{direction=\"out\",priority=\"high\"} 100\n"
                            "qudag_messages_total{result=\"accepted\",priority=\"low\"} 30\n"
                            "qudag_messages_total{result=\"expired\",priority=\"low\"} 4\n");
  const Figures f = figures(now, before, nullptr);
  const Table& classes = f.table(Panel::classes);
  EXPECT_EQ(cell(classes, "low", "out"), "2.0KiB");
  EXPECT_EQ(cell(classes, "high", "out"), "50B");
  EXPECT_EQ(cell(classes, "low", "sent"), "10");
  EXPECT_EQ(cell(classes, "low", "failed"), "1.5");
  EXPECT_EQ(cell(classes, "control", "sent"), "");
}

/// A node that was started again counts from nothing.
TEST(Figures, ACounterThatFellBackHasNoRate) {
  const Sample before = sample(1, "process_cpu_seconds_total 100\n");
  const Sample now = sample(1, "process_cpu_seconds_total 2\n");
  EXPECT_EQ(figures(now, before, nullptr).summary[4], "0% of a core");
}

TEST(Figures, AQuotaIsBesideTheState) {
  const auto state = [](std::string_view quota) {
    const std::string status = R"({"joined":true,"nodes_known":41,"relays_known":33,"quota":)";
    const Sample now = sample(1, "", "", "", "", status + std::string(quota) + "}");
    const std::string all = figures(now, now, nullptr).state;
    return all.contains(';') ? all.substr(all.find(';')) : "";
  };
  EXPECT_EQ(state("null"), "");
  EXPECT_EQ(state(R"({"bandwidth":1048576,"month":0})"), "; quota 1.0MiB/s");
  EXPECT_EQ(state(R"({"bandwidth":0,"month":1000,"used":960,"stage":"leaving"})"),
            "; quota 96% of 1000B this month (leaving)");
  EXPECT_EQ(state(R"({"bandwidth":2048,"month":4096,"used":1,"stage":"open"})"),
            "; quota 2.0KiB/s, 0% of 4.0KiB this month");
}

constexpr std::string_view kBuilds1 =
    "qudag_circuit_build_seconds_bucket{le=\"0.001\"} 90\n"
    "qudag_circuit_build_seconds_bucket{le=\"0.002\"} 100\n"
    "qudag_circuit_build_seconds_bucket{le=\"+Inf\"} 100\n";
constexpr std::string_view kBuilds2 =
    "qudag_circuit_build_seconds_bucket{le=\"0.001\"} 90\n"
    "qudag_circuit_build_seconds_bucket{le=\"0.002\"} 110\n"
    "qudag_circuit_build_seconds_bucket{le=\"+Inf\"} 110\n";

TEST(Figures, PercentilesAreOfWhatCameSinceTheEarlierSample) {
  const Sample first = sample(0, kBuilds1), now = sample(60, kBuilds2);
  const Table all = figures(now, now, nullptr).table(Panel::latency);
  EXPECT_EQ(all.title, "time, since the start");
  EXPECT_EQ(cell(all, "circuit build", "count"), "110");
  EXPECT_EQ(cell(all, "circuit build", "p50"), "611us");
  EXPECT_EQ(cell(all, "loop lag", "p50"), "-");
  const Table lately = figures(now, now, &first).table(Panel::latency);
  EXPECT_EQ(lately.title, "time, of the last 1 min");
  EXPECT_EQ(cell(lately, "circuit build", "count"), "10");
  EXPECT_EQ(cell(lately, "circuit build", "p50"), "1.5ms");
}

/// Names and thresholds are those of src/overload/rules.h.
TEST(Figures, APressureNamesWhatItStartsAndWhatIsNext) {
  const Sample now = sample(1,
                            "qudag_overload_pressure{pressure=\"memory\"} 0.72\n"
                            "qudag_overload_pressure{pressure=\"builds\"} 0.1\n"
                            "qudag_overload_pressure{pressure=\"queue_delay\"} 1\n"
                            "qudag_overload_action{action=\"shrink\"} 0.07\n"
                            "qudag_overload_action{action=\"pause_low\"} 0\n");
  const Figures f = figures(now, now, nullptr);
  const Table& table = f.table(Panel::pressures);
  EXPECT_EQ(table.title, "pressures; shrink 7%");
  EXPECT_EQ(cell(table, "memory", "what it starts"), "shrink; stop_opening_ahead from 0.75");
  EXPECT_EQ(cell(table, "builds", "what it starts"), "stop_opening_ahead from 0.50");
  EXPECT_EQ(cell(table, "queue_delay", "what it starts"), "drop_normal");
  EXPECT_EQ(cell(table, "builds", ""), "##........|.........");
  EXPECT_EQ(table.rows[0][1].weight, Weight::alarm);
  EXPECT_EQ(table.rows[6][1].weight, Weight::plain);
}

TEST(Figures, RefusalsAreThoseThatThereWere) {
  const Sample before = sample(0, "qudag_links_refused_total{reason=\"rate\"} 1\n");
  const Sample now = sample(1,
                            "qudag_links_refused_total{reason=\"rate\"} 5\n"
                            "qudag_links_refused_total{reason=\"memory\"} 0\n"
                            "qudag_dials_for_others_total{result=\"begun\"} 9\n"
                            "qudag_api_connections_refused_total 2\n");
  const Figures f = figures(now, before, nullptr);
  const Table& table = f.table(Panel::refusals);
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(cell(table, "links", "reason"), "rate");
  EXPECT_EQ(cell(table, "links", "per second"), "4");
  EXPECT_EQ(cell(table, "API connections", "in all"), "2");
}

TEST(Figures, QueuesShowTheirFillTheirWaitAndTheirBound) {
  constexpr std::string_view kBefore =
      R"({"queues":[{"name":"q","level":"low","shard":0,"left":100}]})";
  constexpr std::string_view kNow =
      R"({"queues":[{"name":"q","level":"low","shard":0,"items":9,"items_max":10,"bytes":10,
          "bytes_max":1000,"age_max_us":1000000,"oldest_us":600000,"waited_p99_us":2500,
          "left":150,"drops":{"full":3,"old":1}}]})";
  const Figures f = figures(sample(1, "", kNow), sample(0, "", kBefore), nullptr);
  const Table& table = f.table(Panel::queues);
  EXPECT_EQ(cell(table, "q, low", "full"), "90%");
  EXPECT_EQ(cell(table, "q, low", "oldest"), "600.0ms");
  EXPECT_EQ(cell(table, "q, low", "bound"), "1s");
  EXPECT_EQ(cell(table, "q, low", "per s"), "50");
  EXPECT_EQ(cell(table, "q, low", "dropped"), "4");
  EXPECT_EQ(table.rows[0][7].weight, Weight::alarm);
}

TEST(Figures, LinksAndCircuitsAreFoundAgain) {
  constexpr std::string_view kPeers1 =
      R"({"peers":[{"id":"a","address":"x","dialed":true,"bytes_in":0},
                   {"id":"a","address":"x","dialed":false,"bytes_in":70}]})";
  constexpr std::string_view kPeers2 =
      R"({"peers":[{"id":"a","address":"x","dialed":false,"bytes_in":170,"rtt_us":1500},
                   {"id":"b","address":"y","dialed":false,"bytes_in":170}]})";
  constexpr std::string_view kCircuits1 =
      R"({"circuits":[{"id":7,"shard":0,"role":"relay","cells_forward":5}]})";
  constexpr std::string_view kCircuits2 =
      R"({"circuits":[{"id":7,"shard":0,"role":"relay","cells_forward":25,"next_address":"z"}]})";
  const Figures f = figures(sample(1, "", "", kPeers2, kCircuits2),
                            sample(0, "", "", kPeers1, kCircuits1), nullptr);
  EXPECT_EQ(cell(f.table(Panel::links), "x", "in/s"), "100B");
  EXPECT_EQ(cell(f.table(Panel::links), "x", "rtt"), "1.5ms");
  EXPECT_EQ(cell(f.table(Panel::links), "y", "in/s"), "0B") << "it is new: no rate yet";
  EXPECT_EQ(cell(f.table(Panel::circuits), "7", "forward"), "20");
  EXPECT_EQ(cell(f.table(Panel::circuits), "7", "next"), "z");
  EXPECT_EQ(figures(sample(1, ""), sample(0, ""), nullptr).table(Panel::links).nothing,
            "the socket for watchers does not tell them");
}

/// Names come from others: nothing of them reaches the terminal as a command to it.
TEST(Figures, WhatIsNotPrintableIsAQuestionMark) {
  const Sample now = sample(1, "", "", R"({"peers":[{"address":"\u001b[2Jx\u00e9"}]})");
  EXPECT_EQ(figures(now, now, nullptr).table(Panel::links).rows[0][0].text, "?[2Jx??");
}

/// Whatever the pages are, there is an answer.
TEST(Figures, PagesOfAnotherFormAreNothing) {
  for (const char* page : {"", "null", "[]", "{\"queues\":7}", "{\"peers\":[1,null,[]]}",
                           "{\"circuits\":[{\"age_us\":\"x\",\"role\":{}}]}", "{"}) {
    const Sample odd = sample(1, page, page, page, page, page);
    EXPECT_FALSE(figures(odd, odd, &odd).state.empty()) << page;
  }
}

}  // namespace
}  // namespace qudag::app::test

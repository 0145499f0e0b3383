// GET /metrics as Prometheus reads it: families, their types, and histograms that may be added.
#include "two_nodes.h"

#include <cmath>
#include <map>
#include <set>
#include <sstream>

namespace qudag::api::test {
namespace {

/// One series of a histogram: its labels without `le`.
struct Series {
  std::map<double, double> buckets;  // by their end
  double sum = -1, count = -1;
};

struct Scrape {
  std::map<std::string, std::string> types;                     // by family
  std::map<std::string, std::map<std::string, double>> values;  // by name, then labels
  std::map<std::string, std::map<std::string, Series>> histograms;

  double count(const std::string& family, const std::string& labels = "") const {
    const auto found = histograms.find(family);
    if (found == histograms.end() || !found->second.contains(labels)) return -1;
    return found->second.at(labels).count;
  }
};

/// Takes `le="..."` out of labels in which no value has a comma.
std::string without_end(const std::string& labels, double& end) {
  std::string out;
  std::istringstream in(labels);
  for (std::string label; std::getline(in, label, ',');) {
    if (label.starts_with("le=\"")) {
      end = label == "le=\"+Inf\"" ? INFINITY : std::stod(label.substr(4));
    } else {
      out += (out.empty() ? "" : ",") + label;
    }
  }
  return out;
}

void take_histogram_line(Scrape& out, const std::string& name, const std::string& labels,
                         double value) {
  const std::size_t cut = name.rfind('_');
  const std::string family = name.substr(0, cut), suffix = name.substr(cut);
  double end = -1;
  Series& series = out.histograms[family][without_end(labels, end)];
  if (suffix == "_bucket") {
    EXPECT_TRUE(series.buckets.emplace(end, value).second) << name << labels;
  } else if (suffix == "_sum") {
    series.sum = value;
  } else {
    EXPECT_EQ(suffix, "_count");
    series.count = value;
  }
}

Scrape parse(const std::string& page) {
  Scrape out;
  std::istringstream lines(page);
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      std::istringstream words(line.substr(7));
      std::string type;
      words >> family >> type;
      EXPECT_TRUE(out.types.emplace(family, type).second) << family << " stands twice";
    }
    if (line.empty() || line[0] == '#') continue;
    const std::size_t space = line.rfind(' ');
    const std::string key = line.substr(0, space);
    const double value = std::stod(line.substr(space + 1));
    const std::size_t brace = key.find('{');
    const std::string name = key.substr(0, brace);
    const std::string labels =
        brace == std::string::npos ? "" : key.substr(brace + 1, key.size() - brace - 2);
    EXPECT_TRUE(name.starts_with(family)) << line;
    if (out.types[family] == "histogram") {
      take_histogram_line(out, name, labels, value);
    } else {
      EXPECT_EQ(name, family);
      EXPECT_TRUE(out.values[name].emplace(labels, value).second) << line;
    }
  }
  return out;
}

/// Of every series of every histogram: ends that all have, counts that grow, and the last one is
/// the number of all.
void expect_addable(const Scrape& scrape) {
  std::set<std::size_t> sizes;
  for (const auto& [family, all] : scrape.histograms) {
    for (const auto& [labels, series] : all) {
      SCOPED_TRACE(family + "{" + labels + "}");
      sizes.insert(series.buckets.size());
      double before = 0;
      for (const auto& [end, value] : series.buckets) {
        EXPECT_GE(value, before) << end;
        before = value;
      }
      ASSERT_FALSE(series.buckets.empty());
      EXPECT_EQ(series.buckets.rbegin()->first, INFINITY);
      EXPECT_EQ(series.buckets.rbegin()->second, series.count);
      EXPECT_GE(series.sum, 0);
      EXPECT_EQ(series.sum > 0 && series.count == 0, false);
    }
  }
  EXPECT_EQ(sizes.size(), 1u) << "all have the same ends";
}

TEST_F(TwoNodes, AScrapeHasHistogramsThatMayBeAdded) {
  b_.node->on_message([](Message&&) { return Accept::taken; });
  const Client client(a_.socket);
  SendOptions how = direct();
  how.priority = Priority::high;
  const auto delivery = client.send(b_.node->id(), std::vector<std::byte>(3'000), how);
  ASSERT_TRUE(delivery) << delivery.error().message();
  ASSERT_EQ(delivery->outcome, Outcome::delivered);
  const auto page = client.get("/metrics");
  ASSERT_TRUE(page);
  const Scrape scrape = parse(*page);
  expect_addable(scrape);
  const std::string high = "priority=\"high\"";
  EXPECT_EQ(scrape.count("qudag_delivery_seconds", high), 1);
  EXPECT_EQ(
      scrape.count("qudag_queue_waited_seconds", "queue=\"messages to be sent\",level=\"high\""),
      1);
  EXPECT_EQ(scrape.count("qudag_circuit_build_seconds"), 1);
  EXPECT_EQ(scrape.count("qudag_hop_build_seconds", "hop=\"1\""), 1);
  EXPECT_EQ(scrape.count("qudag_hop_round_trip_seconds", "hop=\"1\""), 1);
  EXPECT_EQ(scrape.count("qudag_hop_round_trip_seconds", "hop=\"2\""), 0);
  EXPECT_GT(scrape.count("qudag_loop_lag_seconds"), 0);
  EXPECT_EQ(scrape.count("qudag_api_request_seconds", "request=\"send\""), 1);
  // These nodes may relay, and hardly anybody uses them.
  EXPECT_EQ(scrape.count("qudag_cell_wait_seconds", high), 0);
  EXPECT_EQ(scrape.count("qudag_link_round_trip_seconds"), 0);

  const auto value = [&](const std::string& name, const std::string& labels) {
    const auto& rows = scrape.values.at(name);
    EXPECT_TRUE(rows.contains(labels)) << name << labels;
    return rows.contains(labels) ? rows.at(labels) : -1;
  };
  EXPECT_EQ(value("qudag_message_bytes_total", "direction=\"out\"," + high), 3'000);
  EXPECT_GT(value("qudag_link_bytes_total", "direction=\"out\"," + high), 3'000);
  EXPECT_GT(value("qudag_link_bytes_total", "direction=\"in\"," + high), 0);
  EXPECT_GT(value("qudag_link_bytes_total", "direction=\"in\",priority=\"control\""), 0);
  EXPECT_EQ(value("qudag_link_bytes_total", "direction=\"out\",priority=\"low\""), 0);
  EXPECT_EQ(value("qudag_link_bytes_dropped_total", "reason=\"link_ended\"," + high), 0);
}

/// Who sees a page learns nobody's name and no place.
TEST_F(TwoNodes, AScrapeNamesNobody) {
  const auto page = Client(a_.socket).get("/metrics");
  ASSERT_TRUE(page);
  for (const Place* place : {&a_, &b_}) {
    EXPECT_EQ(page->find(place->node->id().to_string()), std::string::npos);
    EXPECT_EQ(page->find(std::to_string(place->node->address().port)), std::string::npos);
  }
  EXPECT_EQ(page->find("127.0.0.1"), std::string::npos);
}

}  // namespace
}  // namespace qudag::api::test

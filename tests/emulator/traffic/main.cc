// qudag_traffic: load between nodes on emulated links, and what became of it, in one JSON object.
// Started by measure.py (which lays the links and adds what the emulator counted) and by the tests.
//
//   migration   a transfer and numbered messages while the source moves, and a NAT forgets
//   accepting   the same while a node moves that others dialed
//   circuit     the time until a circuit is ready, links warm
//   beside      numbered messages alone and beside many bulk circuits on one link
//   rate        what one link carries, and two side by side
//
// qudag_traffic CASE [KEY=VALUE...]; keys of a case are in its file, those of all in nodes.cc.
#include "cases.h"

#include <boost/json/serialize.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  using namespace qudag::traffic;
  const std::string name = argc > 1 ? argv[1] : "";
  const Words words(argc > 2 ? argc - 2 : 0, argv + 2);
  const auto found = kCases.find(name);
  if (found == kCases.end()) give_up("no such case: " + name);
  const std::string out = boost::json::serialize(found->second(words));
  std::printf("%s\n", out.c_str());
  return std::fflush(stdout);
}

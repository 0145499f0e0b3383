// The cases of qudag_traffic; each says in its file what it does and which keys it takes.
#pragma once

#include "nodes.h"

#include <map>

namespace qudag::traffic {

json::object migration(const Words& words);
json::object accepting(const Words& words);
json::object circuit(const Words& words);
json::object first_byte(const Words& words);
json::object beside(const Words& words);
json::object rate(const Words& words);

using Case = json::object (*)(const Words& words);
inline const std::map<std::string, Case> kCases{{"migration", migration}, {"accepting", accepting},
                                                {"circuit", circuit},     {"ttfb", first_byte},
                                                {"beside", beside},       {"rate", rate}};

}  // namespace qudag::traffic

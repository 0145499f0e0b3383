// JSON for people too: doubles with at most three decimals and no exponent, as 125.3 and
// not 1.253E2.
#pragma once

#include <boost/json.hpp>

#include <string>

namespace qudag::app {

std::string json_text(const boost::json::value& value);

}  // namespace qudag::app

// Fixture: a third-party type in a public header.
#pragma once
#include <fmt/format.h>

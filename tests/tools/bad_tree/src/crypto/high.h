// Fixture: a legal include downwards, half of the cycle.
#pragma once
#include "base/low.h"

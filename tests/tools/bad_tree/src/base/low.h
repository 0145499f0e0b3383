// Fixture of check_layers_test.py: an illegal include upwards, which is also a cycle.
#pragma once
#include "crypto/high.h"

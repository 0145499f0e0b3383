// Fixture: an include that is not written from src/.
#pragma once
#include "lost_too.h"

// What the module offers; its folders below do not know it.
#pragma once

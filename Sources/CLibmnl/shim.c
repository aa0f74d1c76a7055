#include "CLibmnl.h"

#include "CLibxml2.h"

// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import Testing

@Suite struct FilterCompilerTests {}

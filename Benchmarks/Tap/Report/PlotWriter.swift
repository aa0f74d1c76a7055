// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Draws the figures as SVG: for each size of frame a bar for each variant, its length the ratio to the untapped path.
struct PlotWriter {
    private let report: Report

    init(_ report: Report) { self.report = report }

    func svg() -> String { "" }
}

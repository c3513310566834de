import Kernels

/// How the gradient of a layer is cut: blocks of gates, computed one after the other by each thread. What a block makes
/// final leaves while others are computed.
package struct GateBlocks: Sendable {
    /// The gates of each block.
    package let gates: [Range<Int>]
    /// Where each of the layer's parameters begins, and how many floats it has for a gate.
    ///
    /// They are in the order in which their gradients leave: from the layer's end, where the small biases are, to its
    /// beginning. So the last chunk to leave is a whole one. The workers get its average one after the other, and the
    /// first sends its next gradients while the second still receives.
    private let parameters: [(start: Int, columns: Int)]

    /// Cuts a layer into blocks whose number suits `threads` threads.
    package init(layout: ParameterLayout, layer: Int, threads: Int) {
        let own = layout.entries.filter { $0.parameter.layer == layer }
        gates = WeightGradient.blocks(of: own[0].shape[0], threads: threads)
        parameters = own.reversed().map { (start: $0.range.lowerBound, columns: $0.range.count / $0.shape[0]) }
    }

    /// Where the gradients of some gates lie, in the order in which they leave.
    package func ranges(of gates: Range<Int>) -> [Range<Int>] {
        parameters.map { $0.start + gates.lowerBound * $0.columns..<$0.start + gates.upperBound * $0.columns }
    }
}

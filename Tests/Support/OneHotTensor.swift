package import Corpus

/// Tokens of any shape as one-hot vectors: `[2, 5]` tokens give `[2, 5, V]` floats, row-major.
///
/// The readable reference of a layer's input, `V` floats a character: training looks rows up instead.
package struct OneHotTensor: Sendable, Equatable {
    /// Why tokens cannot be taken as a shape.
    package struct BadShape: Error, Equatable {
        package let shape: [Int]
        package let reason: String

        package init(shape: [Int], reason: String) {
            self.shape = shape
            self.reason = reason
        }
    }

    /// The tokens' shape with `V` behind it.
    package let shape: [Int]
    package let values: [Float]

    /// - Throws: ``BadShape`` where the shape does not hold exactly the tokens, the vocabulary
    ///   has none of them, or the result is too large to address.
    package init(_ tokens: [UInt32], shape: [Int], vocabulary: Int) throws(BadShape) {
        var size = 1
        for dimension in shape + [vocabulary] {
            let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
            guard dimension >= 0, !overflow, product <= 1 << 40 else {
                throw BadShape(shape: shape, reason: "with \(vocabulary) values each it has no size")
            }
            size = product
        }
        guard vocabulary > 0, size == tokens.count * vocabulary else {
            throw BadShape(shape: shape, reason: "there are \(tokens.count) tokens")
        }
        var values = [Float](repeating: 0, count: size)
        for (index, token) in tokens.enumerated() {
            guard Int(token) < vocabulary else {
                throw BadShape(shape: shape, reason: "token \(token) is not in a vocabulary of \(vocabulary)")
            }
            values[index * vocabulary + Int(token)] = 1
        }
        self.shape = shape + [vocabulary]
        self.values = values
    }

    /// The value at an index for each dimension.
    package subscript(indices: Int...) -> Float {
        precondition(indices.count == shape.count)
        var offset = 0
        for (index, dimension) in zip(indices, shape) {
            precondition(index >= 0 && index < dimension)
            offset = offset * dimension + index
        }
        return values[offset]
    }
}

extension BatchedCorpus {
    /// A window of all rows as the readable reference takes it: one-hot inputs `[B, T, V]`, targets row-major `B` x `T`.
    package func oneHotBatch(
        window index: Int
    ) throws(OneHotTensor.BadShape) -> (inputs: OneHotTensor, targets: [UInt32]) {
        let (inputs, targets) = batch(rows: 0..<batch, window: index)
        let oneHot = try OneHotTensor(inputs, shape: [batch, window], vocabulary: corpus.vocabulary.count)
        return (oneHot, targets)
    }
}

import LanguageModel

/// The bulk of an evaluation's lease: for each segment whole windows of tokens and one token more, as UInt32,
/// little-endian. All segments of a lease have the same length.
package enum SegmentPayload {
    /// - Throws: ``LeasePayload/Malformed`` where the size is not that of whole windows for each segment, or a token is
    ///   outside the vocabulary.
    package static func decode(_ bytes: UnsafeRawBufferPointer, segments: Int, configuration: RunConfiguration)
        throws(LeasePayload.Malformed) -> [[UInt32]]
    {
        let length = bytes.count / (segments * 4)
        guard bytes.count == segments * length * 4, length > configuration.window,
            (length - 1) % configuration.window == 0
        else { throw LeasePayload.Malformed(description: "an evaluation's payload has \(bytes.count) bytes") }
        let vocabulary = UInt32(configuration.model.vocabulary)
        var tokens: [[UInt32]] = []
        for segment in 0..<segments {
            let run = (0..<length).map { index in
                UInt32(
                    littleEndian: bytes.loadUnaligned(
                        fromByteOffset: (segment * length + index) * 4, as: UInt32.self))
            }
            if let token = run.first(where: { $0 >= vocabulary }) {
                throw LeasePayload.Malformed(description: "token \(token) is outside the vocabulary")
            }
            tokens.append(run)
        }
        return tokens
    }
}

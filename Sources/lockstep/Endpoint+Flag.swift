import Training
import ZeroMQ

extension Endpoint {
    /// The address that a flag gives.
    ///
    /// - Throws: `UsageError` for what is none.
    init(_ text: String, of flag: String) throws(UsageError) {
        do { try self.init(text) } catch { throw UsageError("\(flag): \(error)") }
    }
}

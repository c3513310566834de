import Corpus
import Training
import ZeroMQ

extension Endpoint {
    /// The address that a flag gives.
    ///
    /// - Throws: `UsageError` for what is none.
    init(_ text: String, of flag: String) throws(UsageError) {
        do { try self.init(text) } catch { throw UsageError("\(flag): \(error)") }
    }

    /// Holds the address that a flag gives to be one to connect to.
    ///
    /// - Throws: `UsageError` for what is none, or means something to a listener alone.
    static func checkIsConnectable(_ text: String, of flag: String) throws(UsageError) {
        let endpoint = try Endpoint(text, of: flag)
        do { try endpoint.checkIsConnectable() } catch { throw UsageError("\(flag): \(error)") }
    }

    /// What the file says that a coordinator writes its address to; nil where there is no such file with text in it.
    static func text(inFile path: String) -> String? {
        guard let source = try? TextSource(path: path, limit: 4096) else { return nil }
        return source.withBytes { String(decoding: $0, as: UTF8.self) }
    }
}

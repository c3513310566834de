/// A run that is shown: live, or from its folder.
///
/// The closures are called on the server's threads, several at a time.
package struct DashboardRun: Sendable {
    package var name: String
    /// Whether a coordinator of this process trains it: it is shown as it changes.
    package var isLive: Bool
    /// A `RunSnapshot` as one line of JSON.
    package var snapshot: @Sendable () -> [UInt8]
    /// Losses in nats a character and speeds over all steps, as JSON.
    package var curve: @Sendable () -> [UInt8]
    /// In the text format of Prometheus; nil where nothing is live.
    package var metrics: (@Sendable () -> String)?

    package init(
        name: String, isLive: Bool, snapshot: @escaping @Sendable () -> [UInt8],
        curve: @escaping @Sendable () -> [UInt8], metrics: (@Sendable () -> String)? = nil
    ) {
        self.name = name
        self.isLive = isLive
        self.snapshot = snapshot
        self.curve = curve
        self.metrics = metrics
    }
}

/// A run that is shown: live, or from its folder.
package struct DashboardRun: Sendable {
    package var name: String
    package var isLive: Bool
    /// A `RunSnapshot` as one line of JSON.
    package var snapshot: @Sendable () -> [UInt8]
    /// Its points over all steps, JSON.
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

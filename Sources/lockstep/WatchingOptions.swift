import ArgumentParser
import Checkpoints
import Coordination
import Dashboard
import Foundation
import Training

/// How a run can be watched. Never changes a bit of it.
struct WatchingOptions: ParsableArguments {
    @Option(
        help: """
            Where to serve the live page and /metrics: HOST:PORT (a name or an address; port 0 picks one), or off. \
            Beyond this machine it asks for a token, which is part of the address that is printed. (default: \
            127.0.0.1:0)
            """)
    var dashboard: String?
    @Option(help: "The token that readers of the page need. (default beyond this machine: a random one)")
    var dashboardToken: String?
    @Option(help: "Write where the time goes to this file, in the trace-event format of Chrome and Perfetto.")
    var trace: String?

    /// The flags that were given, for a resume: without the trace, which it would begin anew in the place of this one, and
    /// without the token itself, as what is printed gets into the log.
    var words: [String] {
        CoordinatorRun.words("--dashboard", dashboard)
            + CoordinatorRun.words("--dashboard-token", dashboardToken.map { _ in "TOKEN" })
    }

    /// - Throws: `UsageError` for an address or a token that cannot be.
    func check() throws(UsageError) {
        guard dashboard != "off" || dashboardToken == nil else {
            throw UsageError("--dashboard-token is for readers of the page, and says nothing with --dashboard off")
        }
        try Self.check(address: dashboard == "off" ? nil : dashboard, of: "--dashboard", token: dashboardToken)
    }

    /// - Returns: to be kept until ``traceWriter(onFailure:)`` has been called.
    /// - Throws: `ConfigurationError` where the file of the trace cannot be written; what stands there stays.
    func checkTrace() throws(ConfigurationError) -> OutputFile.Hold? {
        guard let trace else { return nil }
        do { return try OutputFile.hold(trace) } catch {
            throw ConfigurationError("--trace \(trace) cannot be written: \(error)")
        }
    }

    static func check(address: String?, of flag: String, token: String?) throws(UsageError) {
        if let address {
            do { _ = try DashboardAddress(address) } catch { throw UsageError("\(flag): \(error)") }
        }
        if let token, token.utf8.count < 8 || !token.utf8.allSatisfy({ isTokenByte($0) }) {
            throw UsageError("--dashboard-token must be 8 or more letters, digits, - and _")
        }
    }

    /// - Throws: `ConfigurationError` where the file cannot be made.
    func traceWriter(onFailure: @escaping @Sendable (String) -> Void) throws -> TraceWriter? {
        try trace.map { path in try TraceWriter(path: path, onFailure: onFailure) }
    }

    /// Binds the page's address; nil for no page. One that nobody asked for is no reason not to train.
    ///
    /// - Throws: `DashboardError` where the address that was asked for cannot be found or had.
    func dashboardListener(warn: (String) -> Void) throws -> DashboardListener? {
        guard dashboard != "off" else { return nil }
        do {
            return try DashboardListener(DashboardAddress(dashboard ?? "127.0.0.1:0"), of: "--dashboard")
        } catch {
            guard dashboard == nil else { throw error }
            warn("\(error)")
            return nil
        }
    }

    /// Serves the page of a live run.
    func serve(_ monitor: RunMonitor, on listener: DashboardListener) -> DashboardServer {
        let run = DashboardRun(
            name: monitor.snapshot().name, isLive: true, snapshot: { monitor.freshSnapshot().encoded() },
            curve: { monitor.curve.encoded() },
            metrics: { PrometheusText(monitor.freshSnapshot(), monitor.counters).text })
        return Self.serve([run], on: listener, token: dashboardToken)
    }

    static func serve(_ runs: [DashboardRun], on listener: DashboardListener, token: String?) -> DashboardServer {
        var token = token
        if token == nil, !listener.isLoopback {
            token = UInt64.random(in: 0...UInt64.max).hexadecimal + UInt64.random(in: 0...UInt64.max).hexadecimal
        }
        return DashboardServer(listener: listener, runs: runs, token: token)
    }

    /// What needs no escape in an address or a cookie.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

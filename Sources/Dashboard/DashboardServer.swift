import Foundation
import Glibc
import Synchronization

/// Serves the live page and `/metrics`. It only ever answers: nothing that is sent to it changes the run.
///
/// HTTP/1.1 with one request a connection, each on a thread of its own. It is no library's, so that all that strangers
/// can take is bounded: connections, the bytes and the time of a request, the time of an answer.
package final class DashboardServer: Sendable {
    /// Connections at a time: all pages, and some more for files and `/metrics`.
    static let connectionLimit = SnapshotFeed.limit + 32

    private let runs: [DashboardRun]
    private let feed: SnapshotFeed?
    private let guardian: RequestGuard
    private let timeout: Double
    private let listener: DashboardListener
    private let connections = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)

    /// Serves until ``stop()``.
    ///
    /// - Parameters:
    ///   - token: what a reader has to know; needed where others reach the address.
    ///   - timeout: seconds that a request may take, and that one piece of an answer may.
    package init(listener: DashboardListener, runs: [DashboardRun], token: String?, timeout: Double = 10) {
        precondition(listener.isLoopback || token != nil, "a page that others reach asks for a token")
        self.listener = listener
        self.runs = runs
        self.timeout = timeout
        feed = runs.first { $0.isLive }.map { SnapshotFeed(source: $0.snapshot) }
        let names = [ProcessInfo.processInfo.hostName, listener.name].compactMap { $0?.lowercased() }
        guardian = RequestGuard(token: token, hostNames: Set(names))
        let thread = Thread { [self] in
            Thread.current.name = "dashboard"
            acceptAll()
        }
        thread.start()
    }

    /// The page's address for a browser on this machine, with the token where there is one.
    package var url: String {
        let bound = listener.address
        let isAnywhere = bound.host == "0.0.0.0" || bound.host == "::"
        let name = listener.name ?? (isAnywhere ? ProcessInfo.processInfo.hostName : nil)
        let host = name.map { "\($0):\(bound.port)" } ?? bound.description
        return "http://\(host)/" + (guardian.token.map { "?token=\($0)" } ?? "")
    }

    /// Open pages.
    var clientCount: Int { feed?.clientCount ?? 0 }

    /// Gives every open page the last state, and ends.
    package func stop() {
        guard !isStopping.exchange(true, ordering: .relaxed) else { return }
        shutdown(listener.descriptor, Int32(SHUT_RDWR))
        feed?.close()
        let deadline = ContinuousClock.now + .seconds(1)
        while clientCount > 0, ContinuousClock.now < deadline {
            Thread.sleep(forTimeInterval: 0.02)
        }
    }

    private func acceptAll() {
        while true {
            let descriptor = accept(listener.descriptor, nil, nil)
            if isStopping.load(ordering: .relaxed) {
                if descriptor >= 0 { close(descriptor) }
                return
            }
            guard descriptor >= 0 else {
                // The peer left at once, or descriptors are short for a moment.
                if errno != EINTR, errno != ECONNABORTED { Thread.sleep(forTimeInterval: 0.1) }
                continue
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            guard connections.add(1, ordering: .relaxed).newValue <= Self.connectionLimit else {
                connections.subtract(1, ordering: .relaxed)
                close(descriptor)
                continue
            }
            let thread = Thread { [self] in
                serve(descriptor)
                connections.subtract(1, ordering: .relaxed)
            }
            thread.stackSize = 512 << 10
            thread.start()
        }
    }

    private func serve(_ descriptor: Int32) {
        Thread.current.name = "page"
        let connection = HTTPConnection(descriptor: descriptor, timeout: timeout)
        do throws(HTTPRequest.Refusal) {
            guard let request = try connection.request() else { return }
            connection.answer(answer(request), hasBody: request.method != "HEAD")
        } catch {
            connection.answer(HTTPResponse(status: error.status, text: error.reason))
        }
        connection.part()
    }

    // MARK: Answers

    private func answer(_ request: HTTPRequest) -> HTTPResponse {
        switch guardian.verdict(
            host: request.headers["host"], origin: request.headers["origin"],
            authorization: request.headers["authorization"], cookies: request.headers["cookie"],
            queryToken: request.query["token"])
        {
        case .allowed: break
        case .allowedByAddress:
            var response = HTTPResponse(status: 303, text: "the page is at /")
            response.headers = [
                ("Location", "/"),
                ("Set-Cookie", "\(RequestGuard.cookie)=\(guardian.token!); HttpOnly; SameSite=Strict; Path=/"),
            ]
            return response
        case .refused(let status, let reason): return HTTPResponse(status: status, text: reason)
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return HTTPResponse(status: 405, text: "this only answers GET")
        }
        switch request.path {
        case "/": return HTTPResponse(Array(DashboardPage.html.utf8), type: "text/html; charset=utf-8")
        case "/page.js": return HTTPResponse(Array(DashboardScript.text.utf8), type: "text/javascript; charset=utf-8")
        case "/page.css": return HTTPResponse(Array(DashboardStyle.text.utf8), type: "text/css; charset=utf-8")
        case "/runs.json": return HTTPResponse(runList(), type: "application/json")
        case "/snapshot.json":
            return run(request).map { HTTPResponse($0.snapshot(), type: "application/json") } ?? missing
        case "/curve.json": return run(request).map { HTTPResponse($0.curve(), type: "application/json") } ?? missing
        case "/events": return events(isAsked: request.method == "GET")
        case "/metrics":
            guard let metrics = runs.first(where: { $0.metrics != nil })?.metrics else { return missing }
            return HTTPResponse(Array(metrics().utf8), type: "text/plain; version=0.0.4; charset=utf-8")
        default: return missing
        }
    }

    private var missing: HTTPResponse { HTTPResponse(status: 404, text: "there is no such page") }

    private func run(_ request: HTTPRequest) -> DashboardRun? {
        let index = request.query["run"].flatMap { Int($0) } ?? 0
        return runs.indices.contains(index) ? runs[index] : nil
    }

    private func runList() -> [UInt8] {
        struct Entry: Encodable {
            var name: String
            var live: Bool
        }
        let data = try? JSONEncoder().encode(runs.map { Entry(name: $0.name, live: $0.isLive) })
        return Array(data ?? Data("[]".utf8))
    }

    /// - Parameter isAsked: whether the stream itself is, and not its head alone.
    private func events(isAsked: Bool) -> HTTPResponse {
        guard let feed else { return missing }
        var response = HTTPResponse([], type: "text/event-stream")
        guard isAsked else { return response }
        guard feed.admit() else {
            return HTTPResponse(status: 503, text: "\(SnapshotFeed.limit) pages are open already")
        }
        response.stream = { write in feed.serve(write) }
        return response
    }
}

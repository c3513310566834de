import FlyingFox
import FlyingSocks
import Foundation
import Synchronization

/// Serves the live page and `/metrics`. It only ever answers: nothing that is sent to it changes the run.
package final class DashboardServer: Sendable {
    private let runs: [DashboardRun]
    private let feed: SnapshotFeed?
    private let guardian: RequestGuard
    private let server: HTTPServer
    private let task = Mutex<Task<Void, any Error>?>(nil)
    private let bound = Mutex<DashboardAddress?>(nil)
    private let requested: DashboardAddress

    /// - Parameter token: what a reader has to know; needed where others reach the address.
    package init(address: DashboardAddress, runs: [DashboardRun], token: String?) throws {
        precondition(address.isLoopback || token != nil, "a page that others reach asks for a token")
        self.runs = runs
        requested = address
        feed = runs.first { $0.isLive }.map { SnapshotFeed(source: $0.snapshot) }
        guardian = RequestGuard(token: token, hostNames: [ProcessInfo.processInfo.hostName.lowercased()])
        let socketAddress: any SocketAddress =
            address.isIPv6
            ? try sockaddr_in6.inet6(ip6: address.host, port: address.port)
            : try sockaddr_in.inet(ip4: address.host, port: address.port)
        server = Self.server(socketAddress)
    }

    private static func server(_ address: some SocketAddress) -> HTTPServer {
        HTTPServer(address: address, timeout: 10, logger: .disabled)
    }

    /// Binds, and serves on threads of the system's pool.
    ///
    /// - Throws: ``DashboardError`` where the address is busy or not this machine's.
    package func start() async throws {
        // A page that is closed must not end the process.
        signal(SIGPIPE, SIG_IGN)
        await server.appendRoute("*") { [self] request in await answer(request) }
        let running = Task.detached { [server] in try await server.run() }
        do {
            // A server that cannot listen ends at once, and waiting for it fails.
            let listening = Task { [server] in try await server.waitUntilListening(timeout: 5) }
            let watching = Task {
                do { try await running.value } catch {
                    listening.cancel()
                    throw error
                }
            }
            do { try await listening.value } catch {
                running.cancel()
                try await watching.value
                throw error
            }
            let port: UInt16 =
                switch await server.listeningAddress {
                case .ip4(_, let port), .ip6(_, let port): port
                default: 0
                }
            bound.withLock { $0 = requested.with(port: port) }
            task.withLock { $0 = running }
        } catch {
            throw DashboardError(
                "--dashboard \(requested): the page cannot be served there (\(error.localizedDescription)): choose another "
                    + "port, or off")
        }
    }

    /// The page's address for a browser on this machine, with the token where there is one.
    package var url: String {
        let address = bound.withLock { $0 } ?? requested
        let isAnywhere = address.host == "0.0.0.0" || address.host == "::"
        let host = isAnywhere ? "\(ProcessInfo.processInfo.hostName):\(address.port)" : address.description
        return "http://\(host)/" + (guardian.token.map { "?token=\($0)" } ?? "")
    }

    /// Open pages.
    var clientCount: Int { feed?.clientCount ?? 0 }

    /// Gives every open page the last state, and ends.
    package func stop() async {
        feed?.close()
        let deadline = ContinuousClock.now + .seconds(1)
        while clientCount > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        task.withLock { $0 }?.cancel()
        await server.stop()
    }

    // MARK: Answers

    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        switch guardian.verdict(
            host: request.headers[.host], origin: request.headers[HTTPHeader("Origin")],
            authorization: request.headers[.authorization], cookies: request.headers[.cookie],
            queryToken: request.query["token"])
        {
        case .allowed: break
        case .allowedByAddress:
            var headers = HTTPHeaders()
            headers[.location] = "/"
            headers[.setCookie] = "\(RequestGuard.cookie)=\(guardian.token!); HttpOnly; SameSite=Strict; Path=/"
            return HTTPResponse(statusCode: .seeOther, headers: headers, body: Data())
        case .refused(let code, let reason): return text(reason, status: HTTPStatusCode(code, phrase: "Refused"))
        }
        guard request.method == .GET || request.method == .HEAD else {
            return text("this only answers GET", status: .methodNotAllowed)
        }
        switch request.path {
        case "/": return bytes(Array(DashboardPage.html.utf8), "text/html; charset=utf-8")
        case "/page.js": return bytes(Array(DashboardScript.text.utf8), "text/javascript; charset=utf-8")
        case "/page.css": return bytes(Array(DashboardStyle.text.utf8), "text/css; charset=utf-8")
        case "/runs.json": return bytes(runList(), "application/json")
        case "/snapshot.json": return run(request).map { bytes($0.snapshot(), "application/json") } ?? missing
        case "/curve.json": return run(request).map { bytes($0.curve(), "application/json") } ?? missing
        case "/events": return events()
        case "/metrics":
            guard let metrics = runs.first(where: { $0.metrics != nil })?.metrics else { return missing }
            return bytes(Array(metrics().utf8), "text/plain; version=0.0.4; charset=utf-8")
        default: return missing
        }
    }

    private var missing: HTTPResponse { text("there is no such page", status: .notFound) }

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

    private func events() -> HTTPResponse {
        guard let feed else { return missing }
        guard let stream = feed.stream() else {
            return text("\(SnapshotFeed.limit) pages are open already", status: .serviceUnavailable)
        }
        return HTTPResponse(
            statusCode: .ok, headers: headers("text/event-stream"), body: HTTPBodySequence(from: stream))
    }

    private func text(_ text: String, status: HTTPStatusCode) -> HTTPResponse {
        HTTPResponse(
            statusCode: status, headers: headers("text/plain; charset=utf-8"), body: Data((text + "\n").utf8))
    }

    private func bytes(_ bytes: [UInt8], _ type: String) -> HTTPResponse {
        HTTPResponse(statusCode: .ok, headers: headers(type), body: Data(bytes))
    }

    private func headers(_ type: String) -> HTTPHeaders {
        [
            .contentType: type, .cacheControl: "no-store",
            HTTPHeader("Content-Security-Policy"):
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
                + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            HTTPHeader("X-Content-Type-Options"): "nosniff", HTTPHeader("Referrer-Policy"): "no-referrer",
            HTTPHeader("Cross-Origin-Resource-Policy"): "same-origin",
        ]
    }
}

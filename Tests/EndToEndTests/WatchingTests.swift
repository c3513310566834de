import Foundation
import FoundationNetworking
import Testing

@Suite("Watching a run", .timeLimit(.minutes(5)))
struct WatchingTests {
    private struct Status: Decodable {
        struct Progress: Decodable { var step: UInt64 }
        struct Open: Decodable { var waiting: String? }
        struct Member: Decodable { var name: String }
        var state: String
        var progress: Progress
        var openStep: Open?
        var members: [Member]
    }

    private func status(_ arguments: String..., in folder: TemporaryFolder) async throws -> Status {
        let result = try await Execution.run(["status", "--json"] + arguments, in: folder)
        try #require(result.code == 0, "\(result.errors)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Status.self, from: Data(result.output.utf8))
    }

    @Test("A coordinator that waits for workers tells so, by its folder, its address file and its address")
    func waiting() async throws {
        let folder = try TinyRun.folder()
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--endpoint-file=address"]
                + TinyRun.flags, in: folder)
        let file = folder.file("address")
        let endpoint = folder.file("run").appendingPathComponent("endpoint")
        try await Deadline.wait(for: "the coordinator's address") {
            FileManager.default.fileExists(atPath: endpoint.path)
        }
        let address = try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        for way in ["run", "--endpoint-file=address", "--connect=\(address)"] {
            let status = try await status(way, in: folder)
            #expect(status.progress.step == 0)
            #expect(status.members.isEmpty)
            #expect(status.state == "waiting")
            #expect(status.openStep?.waiting == "step 1 waits for workers: none is connected")
        }
        let text = try await Execution.run(["status", "run"], in: folder)
        #expect(text.output.contains("no worker is connected"))
        coordinator.send(SIGTERM)
        #expect(try await coordinator.result().code == 2)
        let gone = try await Execution.run(["status", "run"], in: folder)
        #expect(gone.code == 1)
        #expect(gone.errorLines.count == 1)
        #expect(gone.errors.contains("nobody is training in it"))
    }

    @Test("Watching changes no bit, and leaves a trace and event files with every step once after a resume")
    func bits() async throws {
        let folder = try TinyRun.folder()
        let first = try await Execution.run(
            TinyRun.train("--workers=2", "--threads=1", "--trace=trace.json", "--dashboard=127.0.0.1:0"), in: folder)
        try #require(first.code == 0, "\(first.errors)")
        let reference = try await TinyRun.reference
        #expect(try await Trace(run: "run", in: folder) == reference)
        let data = try Data(contentsOf: folder.file("trace.json"))
        let events = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        let steps = events.compactMap { $0["name"] as? String }.filter { $0.hasPrefix("step ") && $0.count < 8 }
        #expect(steps.count == TinyRun.steps)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.file("run").path)
        #expect(names.filter { $0.hasPrefix("events.out.tfevents.") }.count == 1)
        #expect(!names.contains("endpoint"))
    }

    @Test(
        "Beyond this machine a run is shown to who has the token, which is printed and not in the log; here to all",
        arguments: [true, false])
    func token(isExposed: Bool) async throws {
        let folder = try TinyRun.folder()
        let host = isExposed ? "0.0.0.0" : "127.0.0.1"
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=tcp://127.0.0.1:0", "--dashboard=\(host):0"]
                + TinyRun.flags.filter { $0 != "--quiet" }, in: folder)
        var url: URL?
        try await Deadline.wait(for: "the page's address") {
            let line = try coordinator.errorsSoFar.split(separator: "\n").first { $0.hasPrefix("watch it at ") }
            url = line.flatMap { URL(string: String($0.dropFirst("watch it at ".count))) }
            return url != nil
        }
        let address = try #require(url)
        let token = URLComponents(url: address, resolvingAgainstBaseURL: false)?.queryItems?.first?.value
        func status(_ path: String, authorization: String? = nil) async throws -> Int {
            var request = URLRequest(url: URL(string: "http://127.0.0.1:\(address.port!)/\(path)")!)
            request.setValue(authorization, forHTTPHeaderField: "Authorization")
            let (_, answer) = try await URLSession(configuration: .ephemeral).data(for: request)
            return (answer as! HTTPURLResponse).statusCode
        }
        for path in ["", "metrics", "snapshot.json"] {
            #expect(try await status(path) == (isExposed ? 401 : 200), "\(path)")
        }
        #expect((token != nil) == isExposed)
        if let token {
            #expect(token.count == 32)
            #expect(try await status("metrics", authorization: "Bearer \(token)") == 200)
            #expect(try await status("metrics", authorization: "Bearer \(String(token.reversed()))") == 401)
            let log = try String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)
            #expect(!log.contains(token))
        }
        coordinator.send(SIGTERM)
        #expect(try await coordinator.result().code == 2)
    }

    @Test(
        "What cannot be served or written is refused in one line, before a step",
        arguments: ["--dashboard=nowhere", "--dashboard=127.0.0.1:99999", "--trace=no/such/folder/t.json"])
    func badPlaces(flag: String) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train(flag), in: folder)
        #expect(result.code == 1)
        #expect(result.errorLines.count == 1)
        #expect(result.errors.contains(flag.prefix { $0 != "=" }))
    }
}

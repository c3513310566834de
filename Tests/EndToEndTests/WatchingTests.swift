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

    @Test("Watching changes no bit, and leaves a trace with every step and one event file")
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

    @Test("A run that was killed and goes on leaves event files with every step once")
    func resumed() async throws {
        let folder = try TinyRun.folder()
        // The last checkpoint is some steps old.
        let training = try Execution(
            TinyRun.train(
                "--workers=1", "--threads=1", "--worker-timeout=60", "--checkpoint-every=8", "--inject=stop@step=20"),
            in: folder)
        _ = try await training.stoppedWorker()
        training.send(SIGKILL)
        _ = try await training.result()
        let resumed = try await Execution.run(["train", "--run=run", "--resume", "--workers=1", "--quiet"], in: folder)
        try #require(resumed.code == 0, "\(resumed.errors)")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.file("run").path)
            .filter { $0.hasPrefix("events.out.tfevents.") }
        #expect(files.count == 2)
        // Each step's record has this tag, and no other has.
        let records = try files.map { name in
            let bytes = try Data(contentsOf: folder.file("run/\(name)"))
            return String(decoding: bytes, as: Unicode.ASCII.self).components(separatedBy: "loss/train").count - 1
        }
        #expect(records.allSatisfy { $0 > 0 } && records.reduce(0, +) == TinyRun.steps, "\(records)")
    }

    @Test("A trace has a track for each compute thread, whose slices lie within its steps, and changes no bit")
    func threads() async throws {
        let folder = try TinyRun.folder()
        let run = try await Execution.run(
            TinyRun.train("--workers=2", "--threads=2", "--trace=trace.json"), in: folder)
        try #require(run.code == 0, "\(run.errors)")
        let reference = try await TinyRun.reference
        #expect(try await Trace(run: "run", in: folder) == reference)
        struct Event: Decodable {
            struct Arguments: Decodable {
                var name: String?
                var step: Int?
            }
            var name: String
            var ph: String
            var pid: Int
            var tid: Int
            var ts: Double?
            var dur: Double?
            var args: Arguments?
        }
        let events = try JSONDecoder().decode([Event].self, from: Data(contentsOf: folder.file("trace.json")))
        let workers = events.filter { $0.name == "process_name" && $0.args?.name != "coordinator" }.map(\.pid)
        #expect(workers.count == 2)
        var seen: Set<String> = []
        for worker in workers {
            let own = events.filter { $0.pid == worker }
            let tracks = own.filter { $0.name == "thread_name" }
            #expect(tracks.compactMap(\.args?.name) == ["steps", "compute 0", "compute 1"])
            let slices = own.filter { $0.ph == "X" }
            // When each step began and ended, and how long it was computed, in microseconds.
            var steps: [Int: (from: Double, to: Double, computed: Double)] = [:]
            for slice in slices where slice.tid == 1 {
                let step = try #require(slice.args?.step)
                let (from, length) = (try #require(slice.ts), try #require(slice.dur))
                var known = steps[step] ?? (from, from, 0)
                known.to = from + length
                if ["forward", "backward"].contains(slice.name) { known.computed += length }
                steps[step] = known
            }
            #expect(steps.count >= TinyRun.steps - 5)
            // Beside a busy machine's other work a worker may have no share of some steps.
            let worked = steps.values.count { $0.computed > 0 }
            #expect(worked >= 10)
            for track in [2, 3] {
                var end = -Double.infinity
                var computed: [Int: Double] = [:]
                for slice in slices where slice.tid == track {
                    let step = try #require(slice.args?.step)
                    let (from, length) = (try #require(slice.ts), try #require(slice.dur))
                    #expect(from >= end)
                    end = from + length
                    let whole = try #require(steps[step])
                    // The step's phases are whole microseconds, and lose a part of one each.
                    #expect(from >= whole.from - 10 && end <= whole.to + 10, "\(slice.name) of step \(step)")
                    if slice.name != "update" { computed[step, default: 0] += length }
                    seen.insert("\(track - 2) \(slice.name)")
                }
                // No thread computes for longer than its worker; microseconds of each slice are cut.
                for (step, sum) in computed { #expect(sum <= steps[step]!.computed + 20, "step \(step)") }
                #expect(computed.count >= worked - 5)
            }
        }
        #expect(
            seen.isSuperset(of: [
                "0 pack", "0 forward", "0 backward", "0 weight_gradients", "0 update", "1 forward", "1 backward",
            ]), "\(seen)")
        #expect(!seen.contains("1 update"))
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

    @Test("A page's address that is in use is refused before there is a run folder")
    func busyPage() async throws {
        let folder = try TinyRun.folder()
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=first", "--listen=tcp://127.0.0.1:0", "--dashboard=127.0.0.1:0"]
                + TinyRun.flags.filter { $0 != "--quiet" }, in: folder)
        var place: String?
        try await Deadline.wait(for: "the page's address") {
            let line = try coordinator.errorsSoFar.split(separator: "\n").first { $0.hasPrefix("watch it at http://") }
            place = line?.dropFirst("watch it at http://".count).split(separator: "/").first.map(String.init)
            return place != nil
        }
        let second = try await Execution.run(TinyRun.train("--dashboard=\(try #require(place))"), in: folder)
        #expect(second.code == 1)
        #expect(second.errorLines.count == 1)
        #expect(second.errors.contains("the page cannot be served there (Address already in use)"), "\(second.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.file("run").path))
        // A run that is finished needs no page: what starts it again leaves it alone.
        _ = try await Execution.run(TinyRun.train("--steps=1", "--dashboard=off"), in: folder)
        let third = try await Execution.run(
            ["train", "--run=run", "--resume", "--dashboard=\(try #require(place))"], in: folder)
        #expect(third.code == 0 && third.errors.contains("already finished at step 1"), "\(third.errors)")
        coordinator.send(SIGTERM)
        #expect(try await coordinator.result().code == 2)
    }

    @Test(
        "What cannot be served or written is refused in one line, before a step",
        arguments: [
            ("--dashboard=nowhere", 64), ("--dashboard=127.0.0.1:99999", 64), ("--trace=no/such/folder/t.json", 1),
        ])
    func badPlaces(flag: String, code: Int32) async throws {
        let folder = try TinyRun.folder()
        let result = try await Execution.run(TinyRun.train(flag), in: folder)
        #expect(result.code == code)
        #expect(result.errorLines.count == 1)
        #expect(result.errors.contains(flag.prefix { $0 != "=" }))
    }
}

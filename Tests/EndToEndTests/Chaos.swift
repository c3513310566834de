import Foundation
import Glibc
import Kernels
import SeededNumbers
import Testing

/// A coordinator and workers on this machine, and what befalls them.
final class Chaos {
    /// What was done to the run.
    struct Report: CustomStringConvertible {
        var seconds = 0.0
        var counts: [Act: Int] = [:]
        var steps = 0

        var description: String {
            let acts = Act.allCases.map { "\(counts[$0] ?? 0) \($0.rawValue)" }.joined(separator: ", ")
            return "\(Int(seconds)) s: \(acts); \(steps) steps"
        }
    }

    enum Act: String, CaseIterable {
        case killWorker = "workers killed"
        case stopWorker = "stopped"
        case guest = "joined and left"
        case cut = "connections cut"
        case stall = "stalled"
        case killCoordinator = "coordinators killed"
        case stopCoordinator = "coordinators stopped"
    }

    /// A worker's place: its process, and its way to the coordinator.
    private struct Place {
        let name: String
        let relay: Relay
        var process: Execution?
    }

    private static let model = [
        "--hidden=48", "--layers=2", "--batch=16", "--window=24", "--sample-every=0", "--evaluate-every=0", "--quiet",
    ]
    /// No step for so long is a hang.
    private static let stallLimit = 30.0

    private let corpus: String
    private let folder: TemporaryFolder
    private let port: UInt16
    private var random: SplitMix64
    private var coordinator: Execution?
    private var places: [Place] = []
    private var guests: [Execution] = []
    /// Things to do later.
    private var later: [(at: Date, what: () throws -> Void)] = []
    private var report = Report()

    init(corpus: String, seed: UInt64, folder: TemporaryFolder) throws {
        self.corpus = corpus
        self.folder = folder
        random = SplitMix64(seed: seed)
        port = try Relay.freePort()
        for number in 1...3 { places.append(Place(name: "w\(number)", relay: try Relay(to: port))) }
    }

    deinit { for place in places { place.relay.end() } }

    /// Disturbs the run for so long, then lets it go on until it commits, and interrupts it.
    func run(seconds: Double) async throws -> Report {
        try startCoordinator(["coordinator", corpus, "--steps=100000000"] + Self.model)
        for place in places.indices { try startWorker(place) }
        try await Deadline.wait(for: "the first steps") { try self.steps > 3 }
        let start = Date()
        let end = start.addingTimeInterval(seconds)
        var nextAct = start
        var (lastStep, lastProgress) = (try steps, start)
        while Date() < end {
            try doWhatIsDue()
            if Date() >= nextAct {
                try act()
                nextAct = Date(timeIntervalSinceNow: .random(in: 0.2...2, using: &random))
            }
            try checkProcesses()
            let step = try steps
            if step != lastStep { (lastStep, lastProgress) = (step, Date()) }
            guard -lastProgress.timeIntervalSinceNow < Self.stallLimit else {
                throw Deadline(description: "no step for \(Self.stallLimit) s after step \(step): \(log)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        // The storm is over.
        while !later.isEmpty {
            try doWhatIsDue()
            try await Task.sleep(for: .milliseconds(20))
        }
        let calm = try steps
        try await Deadline.wait(for: "a step after the storm") { try self.steps > calm }
        coordinator!.send(SIGINT)
        let result = try await coordinator!.result()
        #expect(result.code == 2, "\(result.errors)")
        for process in places.map({ $0.process! }) + guests {
            process.send(SIGTERM)
            _ = try await process.result()
        }
        report.seconds = seconds
        report.steps = try steps
        return report
    }

    /// As many steps, undisturbed.
    func reference() async throws -> Trace {
        let result = try await Execution.run(
            ["train", corpus, "--run=reference", "--workers=2", "--threads=1", "--steps=\(report.steps)"] + Self.model,
            in: folder, seconds: 600)
        try #require(result.code == 0, "\(result.errors)")
        return try await Trace(run: "reference", in: folder)
    }

    private var steps: Int { get throws { try Trace.last(run: "run", in: folder).step } }

    private var log: String {
        let text = (try? String(contentsOf: folder.file("run/log.txt"), encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(30).joined(separator: "\n")
    }

    private func startCoordinator(_ arguments: [String]) throws {
        coordinator = try Execution(
            arguments + [
                "--run=run", "--listen=tcp://127.0.0.1:\(port)", "--checkpoint-every=2s", "--audit=0.1",
            ], in: folder)
    }

    private func startWorker(_ place: Int) throws {
        places[place].process = try Execution(
            ["worker", "--connect=tcp://127.0.0.1:\(places[place].relay.port)", "--threads=1"]
                + ["--name=\(places[place].name)", "--quiet"], in: folder)
    }

    private func after(_ range: ClosedRange<Double>, _ what: @escaping () throws -> Void) {
        later.append((Date(timeIntervalSinceNow: .random(in: range, using: &random)), what))
    }

    private func doWhatIsDue() throws {
        let due = later.filter { $0.at <= Date() }
        later.removeAll { $0.at <= Date() }
        for item in due { try item.what() }
    }

    private func act() throws {
        let act = Act.allCases.randomElement(using: &random)!
        let place = Int.random(in: places.indices, using: &random)
        switch act {
        case .killWorker:
            guard let process = places[place].process else { return }
            process.send(SIGKILL)
            places[place].process = nil
            after(0...1) { try self.startWorker(place) }
        case .stopWorker:
            guard let process = places[place].process else { return }
            process.send(SIGSTOP)
            after(0.1...3) { process.send(SIGCONT) }
        case .guest:
            let number = (report.counts[.guest] ?? 0) + 1
            let process = try Execution(
                ["worker", "--connect=tcp://127.0.0.1:\(port)", "--threads=1", "--name=guest\(number)", "--quiet"],
                in: folder)
            guests.append(process)
            after(0.5...4) {
                process.send(SIGTERM)
                self.guests.removeAll { $0 === process }
            }
        case .cut: places[place].relay.cut()
        case .stall: places[place].relay.stall(seconds: .random(in: 0.1...3, using: &random))
        case .killCoordinator:
            guard let process = coordinator else { return }
            process.send(SIGKILL)
            coordinator = nil
            after(0.1...1) { try self.startCoordinator(["coordinator", "--resume", "--quiet"]) }
        case .stopCoordinator:
            guard let process = coordinator else { return }
            process.send(SIGSTOP)
            after(0.1...2) { process.send(SIGCONT) }
        }
        report.counts[act, default: 0] += 1
    }

    /// Nobody ends who was not killed.
    private func checkProcesses() throws {
        for (name, process) in [("the coordinator", coordinator)] + places.map({ ($0.name, $0.process) }) {
            guard let process, !process.isRunning else { continue }
            throw Deadline(description: "\(name) ended by itself: \(try process.errorsSoFar)\n\(log)")
        }
    }
}

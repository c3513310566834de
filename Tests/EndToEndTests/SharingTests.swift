import Coordination
import Foundation
import Glibc
import Synchronization
import Testing

@testable import Training

@Suite("Memory that processes share", .serialized)
struct SharingTests {
    /// The shared memory that a process has mapped: what it may only read, and what is its own.
    private func mappings(of process: Int32) throws -> (read: Set<Substring>, written: Set<Substring>) {
        // A file of the kernel's, of no size beforehand, is read to its end in pieces.
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/\(process)/maps"))
        let maps = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
        var (read, written): (Set<Substring>, Set<Substring>) = ([], [])
        for line in maps.split(separator: "\n") {
            guard let name = line.range(of: "/memfd:lockstep-") else { continue }
            if line.contains(" r--s ") { read.insert(line[name.lowerBound...]) }
            if line.contains(" rw-s ") { written.insert(line[name.lowerBound...]) }
        }
        return (read, written)
    }

    @Test("A worker that train started reads averages in place, its coordinator gradients, and no bit changes")
    func shared() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(
            TinyRun.train("--workers=1", "--threads=1", "--worker-timeout=60", "--inject=stop@step=9"), in: folder)
        let worker = try await training.stoppedWorker()
        let (read, written) = try mappings(of: training.id)
        let (workerReads, workerWrites) = try mappings(of: worker)
        #expect(!read.isDisjoint(with: workerWrites), "it reads \(read), and its worker writes \(workerWrites)")
        #expect(!written.isDisjoint(with: workerReads), "it writes \(written), and its worker reads \(workerReads)")
        // Beside what was offered to be tried, averages by turns: those that were applied are used again.
        #expect(written.count <= 4, "\(written)")
        kill(worker, SIGCONT)
        #expect(try await training.result().code == 0)
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("A worker over a network is sent its averages, beside one that reads them in place")
    func mixed() async throws {
        let folder = try TinyRun.folder()
        let training = try Execution(
            TinyRun.train(
                "--workers=1", "--threads=1", "--listen=tcp://127.0.0.1:0", "--endpoint-file=endpoint",
                "--minimum-workers=2", "--worker-timeout=60"), in: folder)
        let endpoint = try await NetworkTests.endpoint(in: folder)
        // In the first of these in which it has work: on a busy machine it may have none in one of them.
        let stops = (3..<TinyRun.steps).map { "stop@step=\($0)" }.joined(separator: ";")
        let guest = try Execution(
            ["worker", "--connect=\(endpoint)", "--threads=1", "--quiet", "--inject=\(stops)"], in: folder)
        try await Deadline.wait(for: "the worker to stop") { ProcessTable.isStopped(guest.id) }
        #expect(try mappings(of: guest.id) == ([], []))
        #expect(!(try mappings(of: training.id).read.isEmpty))
        try await Deadline.wait(for: "the run to end") {
            guest.send(SIGCONT)
            return !training.isRunning
        }
        #expect(try await training.result().code == 0)
        #expect(try await guest.result().code == 0)
        #expect(try await Trace(run: "run", in: folder) == TinyRun.reference)
    }

    @Test("What a worker shared is let go of when it is lost")
    func lost() async throws {
        let folder = try TinyRun.folder()
        let bus = "ipc://\(folder.file("bus").path)"
        let coordinator = try Execution(
            ["coordinator", "text.txt", "--run=run", "--listen=\(bus)", "--worker-timeout=60"] + TinyRun.flags,
            in: folder)
        let worker = try Execution(
            ["worker", "--connect=\(bus)", "--threads=1", "--quiet", "--inject=stop@step=9"], in: folder)
        try await Deadline.wait(for: "the worker to stop") { ProcessTable.isStopped(worker.id) }
        #expect(!(try mappings(of: coordinator.id).read.isEmpty))
        worker.send(SIGKILL)
        _ = try await worker.result()
        try await Deadline.wait(for: "the coordinator to let go") {
            try mappings(of: coordinator.id).read.isEmpty
        }
        coordinator.send(SIGTERM)
        #expect(try await coordinator.result().code == 2)
    }

    @Test("A worker that cannot open its coordinator's memory joins anew, and offers none")
    func unreadable() async throws {
        let greetings = Mutex<[SharedPlace?]>([])
        let result = try await RawCoordinator.runWorker(in: try TemporaryFolder()) { message, envelope in
            var answer = Message.refuse(Refusal(code: .full, reason: "enough"))
            if case .hello(let hello) = message {
                greetings.withLock { $0.append(hello.memory) }
                if hello.memory != nil {
                    answer = .welcome(
                        Welcome(
                            run: 9, term: 1, step: 0, snapshotParts: 1, heartbeatInterval: 250_000_000,
                            silenceLimit: 1_500_000_000, configuration: [],
                            memory: SharedPlace(process: hello.process, descriptor: 0, tag: 1)))
                }
            }
            let reply = Envelope(run: 9, worker: envelope.worker, sequence: 1, acknowledged: envelope.sequence)
            return Wire.encode(answer, reply)
        }
        #expect(result.errors.contains("refused this worker: enough"), "\(result.errors)")
        let places = greetings.withLock { $0 }
        #expect(places.count >= 2 && places.first! != nil && places.last! == nil)
    }
}

import Coordination

/// Two workers, a coordinator and the channels between them, where anything that can happen next may: time stands
/// still, and each order of deliveries, computations and crashes is a path of its own.
struct SmallWorld: Hashable {
    enum Move: Hashable {
        case toCoordinator(slot: Int)
        case toWorker(slot: Int)
        case compute(slot: Int)
        /// Of what the worker has sent, the first `kept` messages still arrive.
        case crash(slot: Int, kept: Int)
        /// The coordinator hears of the crash, and the process is started again.
        case notice(slot: Int)
        /// Of its lines, and its newest checkpoint.
        case crashCoordinator(linesLost: UInt64, losesCheckpoint: Bool)
        /// A worker of a coordinator that is gone says something, and is told.
        case disown(slot: Int)
        /// A dead worker has been silent for too long.
        case silence(WorkerID)
        /// The coordinator's wait for workers is over.
        case waitIsOver
    }

    private(set) var coordinator: SimulatedCoordinator
    private var workers: [SimulatedWorker?]
    private var memory: SimulatedMemory
    private var up: [[SimulatedMessage]]
    private var down: [[SimulatedMessage]]
    private var crashesLeft: Int
    private var coordinatorCrashesLeft: Int
    private var unnoticed: Set<Int> = []
    private var lives: [Int]
    /// Whether all of its processes do, or none.
    private let sharesMemory: Bool
    private var now: UInt64 = 0

    init(workers count: Int, sharesMemory: Bool, run: SimulatedRun, crashes: Int, coordinatorCrashes: Int) throws {
        self.sharesMemory = sharesMemory
        coordinator = SimulatedCoordinator(run: run, now: now)
        memory = SimulatedMemory(chunks: run.chunks)
        workers = Array(repeating: nil, count: count)
        up = Array(repeating: [], count: count)
        down = up
        lives = Array(repeating: 0, count: count)
        crashesLeft = crashes
        coordinatorCrashesLeft = coordinatorCrashes
        // From here on a jump of time is the coordinator's own sleep, for which it blames nobody.
        transmit(try coordinator.tick(now: 0, &memory))
        for slot in workers.indices { spawn(slot) }
    }

    var moves: [Move] {
        var moves: [Move] = []
        for slot in workers.indices {
            if !up[slot].isEmpty { moves.append(.toCoordinator(slot: slot)) }
            if unnoticed.contains(slot) { moves.append(.notice(slot: slot)) }
            guard let worker = workers[slot] else { continue }
            if !down[slot].isEmpty { moves.append(.toWorker(slot: slot)) }
            if !worker.jobs.isEmpty { moves.append(.compute(slot: slot)) }
            if crashesLeft > 0 { moves += (0...up[slot].count).map { .crash(slot: slot, kept: $0) } }
            if isForeign(worker) { moves.append(.disown(slot: slot)) }
        }
        if coordinatorCrashesLeft > 0 {
            let run = coordinator.run
            for losesCheckpoint in run.earlierCheckpoints.isEmpty ? [false] : [false, true] {
                let checkpoint = losesCheckpoint ? run.earlierCheckpoints.last! : run.checkpoint
                for lost in 0...min(1, UInt64(run.lines.count) - checkpoint.step) {
                    moves.append(.crashCoordinator(linesLost: lost, losesCheckpoint: losesCheckpoint))
                }
            }
        }
        let living = Set(workers.compactMap { $0?.machine.worker } + up.joined().map(\.envelope.worker))
        moves += coordinator.machine.workers.filter { !living.contains($0) }.map { .silence($0) }
        if coordinator.machine.isRecovering, now == 0 { moves.append(.waitIsOver) }
        return moves
    }

    /// Whether the worker takes itself to be in a session that the coordinator does not know.
    private func isForeign(_ worker: SimulatedWorker) -> Bool {
        coordinator.run.term > 1 && !worker.awaitsOffer && coordinator.machine.hello(of: worker.machine.worker) == nil
            && !up.joined().contains { $0.envelope.worker == worker.machine.worker }
    }

    mutating func make(_ move: Move) throws {
        switch move {
        case .toCoordinator(let slot):
            transmit(try coordinator.received(up[slot].removeFirst(), now: now, &memory))
        case .toWorker(let slot):
            let message = down[slot].removeFirst()
            guard message.envelope.worker == workers[slot]!.machine.worker else { return }
            workers[slot]!.received(message, now: now, &memory)
            follow(slot)
        case .compute(let slot):
            // All that there is to do: a crash in the midst of it is one that loses the last messages.
            while !workers[slot]!.jobs.isEmpty {
                if let event = workers[slot]!.computePiece(&memory) {
                    workers[slot]!.heard(event, now: now, &memory)
                }
            }
            follow(slot)
        case .crash(let slot, let kept):
            crashesLeft -= 1
            memory.end(workers[slot]!.process)
            workers[slot] = nil
            down[slot] = []
            up[slot].removeLast(up[slot].count - kept)
            unnoticed.insert(slot)
        case .notice(let slot):
            unnoticed.remove(slot)
            transmit(try coordinator.processEnded(name: "w\(slot)", now: now, &memory))
            spawn(slot)
        case .crashCoordinator(let linesLost, let losesCheckpoint):
            coordinatorCrashesLeft -= 1
            var disk = coordinator.run
            if losesCheckpoint { disk.checkpoint = disk.earlierCheckpoints.last! }
            disk.cut(after: UInt64(disk.lines.count) - linesLost)
            disk.earlierCheckpoints = []
            memory.end(coordinator.process)
            coordinator = SimulatedCoordinator(run: disk, now: now)
            for slot in workers.indices { (up[slot], down[slot]) = ([], []) }
            transmit(try coordinator.tick(now: now, &memory))
        case .disown(let slot):
            let id = workers[slot]!.machine.worker
            workers[slot]!.received(
                SimulatedMessage(
                    message: .refuse(Refusal(code: .sessionBroken, reason: "the session is over: join again")),
                    envelope: Envelope(run: coordinator.run.number, worker: id, sequence: 0, acknowledged: 0),
                    payload: []), now: now, &memory)
            follow(slot)
        case .silence(let worker): transmit(try coordinator.lost(worker, "silent", now: now, &memory))
        case .waitIsOver:
            now = 20_000_000_000
            transmit(try coordinator.tick(now: now, &memory))
        }
    }

    private mutating func spawn(_ slot: Int) {
        lives[slot] += 1
        workers[slot] = SimulatedWorker(
            name: "w\(slot)", process: UInt32(slot * 1000 + lives[slot]),
            incarnation: WorkerID(slot * 1000 + lives[slot]), run: coordinator.run, sharesMemory: sharesMemory,
            now: now, &memory)
        follow(slot)
    }

    private mutating func follow(_ slot: Int) {
        if workers[slot]!.takePause() { workers[slot]!.seekSession() }
        for var message in workers[slot]!.takeOutgoing() {
            // Credits are not what is searched here: acknowledgements would only multiply the states.
            message.envelope.acknowledged = 0
            up[slot].append(message)
        }
        if workers[slot]!.ending != nil {
            memory.end(workers[slot]!.process)
            workers[slot] = nil
        }
    }

    private mutating func transmit(_ messages: [SimulatedMessage]) {
        for var message in messages {
            message.envelope.acknowledged = 0
            let id = message.envelope.worker
            guard let slot = workers.firstIndex(where: { $0?.machine.worker == id }) else { continue }
            down[slot].append(message)
        }
    }
}

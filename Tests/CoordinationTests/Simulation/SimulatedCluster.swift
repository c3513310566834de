import Coordination
import SeededNumbers

/// A coordinator, workers and a network of the worst kind in one thread, on virtual time.
struct SimulatedCluster {
    /// Chances: of a process at each tick of 100 ms, or of a message.
    struct Faults {
        var crash = 0.0
        var hang = 0.0
        var partition = 0.0
        var lose = 0.0
        var duplicate = 0.0
        var reorder = 0.0
        var coordinatorCrash = 0.0
        var coordinatorHang = 0.0
        /// How much slower than the others a worker may be.
        var slowness = 1.0
        /// What is wrong with the first worker.
        var lie: SimulatedWorker.Lie?
        /// No new fault after this many nanoseconds.
        var until: UInt64 = 4_000_000_000

        static let none = Faults()
        static let all = Faults(
            crash: 0.02, hang: 0.01, partition: 0.004, lose: 0.002, duplicate: 0.01, reorder: 0.004,
            coordinatorCrash: 0.01, coordinatorHang: 0.01, slowness: 20)
    }

    /// What the run came to, and what happened on the way.
    struct Outcome {
        var lines: [SimulatedRun.Line]
        var faultsInjected = 0
        /// Of each restart of the coordinator: lines on disk, and the step from which it went on.
        var restarts: [(lines: Int, recoveredAt: UInt64)] = []
        var banned: Set<String> = []
        /// Why workers were refused that were not banned.
        var refusals: [String] = []
        /// Of the held-out text, by step.
        var validations: [UInt64: Double] = [:]
        var best: SimulatedRun.Best?
        /// Digests of all honest replicas after each step, whoever asked for them.
        var replicas: [UInt64: Set<UInt64>] = [:]
    }

    struct Stuck: Error, CustomStringConvertible { let description: String }

    private enum Happening {
        case toCoordinator(SimulatedMessage)
        case toWorker(SimulatedMessage)
        /// A piece of work is done; `life` tells a process from the one before it in its place.
        case piece(slot: Int, life: Int)
        case inbox(slot: Int, life: Int, SimulatedWorker.Event)
        /// The pause of a worker between two sessions is over.
        case seek(slot: Int, life: Int)
        case spawn(slot: Int)
        case startCoordinator
        case tick
    }

    /// A place for a worker process.
    private struct Slot {
        var worker: SimulatedWorker?
        var life = 0
        var slowness = 1.0
        /// Whether its processes and the coordinator can open memory of each other's.
        var sharesMemory = false
        var isComputing = false
        var hungUntil: UInt64 = 0
        var unreachableUntil: UInt64 = 0
        var lastInbox: UInt64 = 0
        /// The name under which it was refused for good; a person then starts another.
        var isReplaced = false
    }

    /// The run before its first step.
    let beginning: SimulatedRun
    private let faults: Faults
    private var random: SplitMix64
    private var now: UInt64 = 0
    /// Latest first.
    private var queue: [(at: UInt64, order: Int, what: Happening)] = []
    private var posted = 0
    private var lastArrival: [UInt64: UInt64] = [:]
    private var slots: [Slot]
    private var coordinator: SimulatedCoordinator?
    private var coordinatorHungUntil: UInt64 = 0
    private var disk: SimulatedRun
    private var memory: SimulatedMemory
    private var outcome = Outcome(lines: [])

    init(seed: UInt64, workers: Int, run: SimulatedRun = SimulatedRun(), faults: Faults = .none) {
        random = SplitMix64(seed: seed)
        self.faults = faults
        beginning = run
        disk = run
        memory = SimulatedMemory(chunks: run.chunks)
        slots = Array(repeating: Slot(), count: workers)
        var sharing = SplitMix64(seed: ~seed)
        for index in slots.indices { slots[index].sharesMemory = sharing.chance(0.6) }
        for index in slots.indices where faults.slowness > 1 && random.chance(0.3) {
            slots[index].slowness = .random(in: 1...faults.slowness, using: &random)
        }
    }

    /// Runs to the end.
    ///
    /// - Throws: ``Stuck`` where the run has not ended 180 virtual seconds after the last fault, or the coordinator has
    ///   failed; ``SimulatedCoordinator/Violation``.
    mutating func run() throws -> Outcome {
        post(.startCoordinator, after: 0)
        for slot in slots.indices { post(.spawn(slot: slot), after: UInt64(slot) * 1_000_000 + 1) }
        post(.tick, after: 100_000_000)
        while true {
            if let coordinator {
                if let failure = coordinator.failure { throw Stuck(description: "the run failed: \(failure)") }
                if coordinator.machine.isFinished || coordinator.isExhausted { break }
            }
            guard let next = queue.popLast() else { throw Stuck(description: "nothing is left to happen") }
            now = max(now, next.at)
            if now > faults.until + 180_000_000_000 {
                throw Stuck(description: coordinator?.machine.waitingReason(now: now) ?? "no coordinator")
            }
            try happen(next.what)
        }
        let run = coordinator!.written
        outcome.lines = run.lines
        outcome.validations = run.validations
        outcome.best = run.checkpoint.best
        outcome.banned = coordinator!.banned
        return outcome
    }

    // MARK: Events

    private mutating func post(_ what: Happening, after delay: UInt64) {
        posted += 1
        let (at, order) = (now + delay, posted)
        var (low, high) = (0, queue.count)
        while low < high {
            let middle = (low + high) / 2
            if (queue[middle].at, queue[middle].order) > (at, order) { low = middle + 1 } else { high = middle }
        }
        queue.insert((at, order, what), at: low)
    }

    /// Whether a fault strikes now.
    private mutating func strikes(_ chance: Double) -> Bool {
        guard chance > 0, now < faults.until, random.chance(chance) else { return false }
        outcome.faultsInjected += 1
        return true
    }

    private mutating func happen(_ what: Happening) throws {
        switch what {
        case .startCoordinator:
            let fresh = SimulatedCoordinator(run: disk, now: now)
            if disk.term > 0, let step = fresh.recoveredAt { outcome.restarts.append((disk.lines.count, step)) }
            coordinator = fresh
        case .spawn(let slot): spawn(slot)
        case .tick: try tick()
        case .toCoordinator(let message):
            guard coordinator != nil else {
                // What still lay in the worker's socket reaches the next one.
                if random.chance(0.5) { post(what, after: 300_000_000) }
                return
            }
            if coordinatorHungUntil > now { return post(what, after: coordinatorHungUntil - now) }
            let wasRecovering = coordinator!.machine.isRecovering
            transmit(try coordinator!.received(message, now: now, &memory))
            noteRecovery(wasRecovering)
        case .toWorker(let message):
            guard let slot = slot(of: message.envelope.worker) else { return }
            if slots[slot].hungUntil > now { return post(what, after: slots[slot].hungUntil - now) }
            slots[slot].worker!.received(message, now: now, &memory)
            follow(slot)
        case .piece(let slot, let life):
            guard slots[slot].life == life else { return }
            if slots[slot].hungUntil > now { return post(what, after: slots[slot].hungUntil - now) }
            slots[slot].isComputing = false
            if let event = slots[slot].worker?.computePiece(&memory) {
                if case .applied(let applied) = event, slots[slot].worker!.lie == nil {
                    outcome.replicas[applied.step, default: []].insert(applied.digest)
                }
                // In order, some time later.
                let at = max(slots[slot].lastInbox + 1, now + .random(in: 1...200_000, using: &random))
                slots[slot].lastInbox = at
                post(.inbox(slot: slot, life: life, event), after: at - now)
            }
            follow(slot)
        case .inbox(let slot, let life, let event):
            guard slots[slot].life == life else { return }
            if slots[slot].hungUntil > now { return post(what, after: slots[slot].hungUntil - now) }
            slots[slot].worker?.heard(event, now: now, &memory)
            follow(slot)
        case .seek(let slot, let life):
            guard slots[slot].life == life else { return }
            if slots[slot].hungUntil > now { return post(what, after: slots[slot].hungUntil - now) }
            slots[slot].worker!.seekSession()
            follow(slot)
        }
    }

    private func slot(of worker: WorkerID) -> Int? {
        slots.firstIndex { $0.worker.map { !$0.awaitsOffer && $0.machine.worker == worker } ?? false }
    }

    private mutating func tick() throws {
        post(.tick, after: 100_000_000)
        if strikes(faults.coordinatorCrash), coordinator != nil { crashCoordinator() }
        if strikes(faults.coordinatorHang) {
            coordinatorHungUntil = now + .random(in: 0...3_000_000_000, using: &random)
        }
        if coordinator != nil, coordinatorHungUntil <= now {
            let wasRecovering = coordinator!.machine.isRecovering
            transmit(try coordinator!.tick(now: now, &memory))
            noteRecovery(wasRecovering)
        }
        for slot in slots.indices where slots[slot].worker != nil {
            if strikes(faults.crash) {
                try crash(slot)
                continue
            }
            if strikes(faults.hang) { slots[slot].hungUntil = now + .random(in: 0...3_000_000_000, using: &random) }
            if strikes(faults.partition) {
                slots[slot].unreachableUntil = now + .random(in: 0...3_000_000_000, using: &random)
            }
            guard slots[slot].hungUntil <= now else { continue }
            slots[slot].worker!.tick(now: now, &memory)
            follow(slot)
        }
    }

    private mutating func noteRecovery(_ wasRecovering: Bool) {
        guard wasRecovering, let coordinator, !coordinator.machine.isRecovering, let step = coordinator.recoveredAt
        else { return }
        outcome.restarts.append((disk.lines.count, step))
    }

    private mutating func spawn(_ slot: Int) {
        slots[slot].life += 1
        slots[slot].isComputing = false
        slots[slot].hungUntil = 0
        let isLiar = slot == 0 && !slots[slot].isReplaced
        slots[slot].worker = SimulatedWorker(
            name: "w\(slot)\(slots[slot].isReplaced ? "-new" : "")",
            process: UInt32(slot * 1000 + slots[slot].life), incarnation: random.next() | 1, run: disk,
            lie: isLiar ? faults.lie : nil, sharesMemory: slots[slot].sharesMemory, now: now, &memory)
        follow(slot)
    }

    private mutating func end(_ slot: Int) {
        memory.end(slots[slot].worker!.process)
        slots[slot].worker = nil
        slots[slot].life += 1
    }

    private mutating func crash(_ slot: Int) throws {
        let name = slots[slot].worker!.name
        end(slot)
        // Half of the time a watcher reports it at once, else silence tells.
        if random.chance(0.5), coordinatorHungUntil <= now, coordinator != nil {
            transmit(try coordinator!.processEnded(name: name, now: now, &memory))
        }
        post(.spawn(slot: slot), after: .random(in: 0...2_000_000_000, using: &random))
    }

    private mutating func crashCoordinator() {
        let isInterrupted = random.chance(0.2)
        if isInterrupted { coordinator!.interrupt() }
        disk = coordinator!.written
        if !isInterrupted {
            // The newest lines and checkpoints may not have been written yet.
            if random.chance(0.3), let earlier = disk.earlierCheckpoints.randomElement(using: &random) {
                disk.checkpoint = earlier
            }
            let unwritten = UInt64.random(in: 0...5, using: &random)
            let written = UInt64(disk.lines.count)
            disk.cut(after: max(disk.checkpoint.step, written - min(written, unwritten)))
            if let late = coordinator!.lateEvaluation, disk.lines.count == late,
                disk.checkpoint.step < late || disk.checkpoint.validation == nil, random.chance(0.5)
            {
                disk.validations[late] = nil
            }
        }
        disk.earlierCheckpoints = []
        memory.end(coordinator!.process)
        coordinator = nil
        coordinatorHungUntil = 0
        post(.startCoordinator, after: .random(in: 0...2_000_000_000, using: &random))
    }

    /// What a worker's last event leads to.
    private mutating func follow(_ slot: Int) {
        guard slots[slot].worker != nil else { return }
        for message in slots[slot].worker!.takeOutgoing() {
            deliver(.toCoordinator(message), channel: message.envelope.worker &+ 1, slot: slot)
        }
        if let ending = slots[slot].worker!.ending {
            let name = slots[slot].worker!.name
            end(slot)
            if case .refused(let refusal) = ending {
                if coordinator?.banned.contains(name) == true {
                    slots[slot].isReplaced = true
                } else if refusal.code != .replicaDiffers && refusal.code != .banned {
                    outcome.refusals.append("\(name): \(refusal.reason)")
                }
                post(.spawn(slot: slot), after: 500_000_000)
            }
            return
        }
        if slots[slot].worker!.takePause() { post(.seek(slot: slot, life: slots[slot].life), after: 100_000_000) }
        if !slots[slot].isComputing, let job = slots[slot].worker!.jobs.first {
            slots[slot].isComputing = true
            let range: ClosedRange<UInt64> =
                switch job {
                case .chunk, .evaluate: 1_000_000...40_000_000
                case .offer: 1_000_000...50_000_000
                default: 1_000...1_000_000
                }
            let time = Double(UInt64.random(in: range, using: &random)) * slots[slot].slowness
            post(.piece(slot: slot, life: slots[slot].life), after: UInt64(time))
        }
    }

    // MARK: Network

    private mutating func transmit(_ messages: [SimulatedMessage]) {
        for message in messages {
            let worker = message.envelope.worker
            deliver(.toWorker(message), channel: worker, slot: slot(of: worker))
        }
    }

    private mutating func deliver(_ what: Happening, channel: UInt64, slot: Int?) {
        guard let slot, slots[slot].unreachableUntil <= now else { return }
        if strikes(faults.lose) { return }
        var at = now + .random(in: 100_000...2_000_000, using: &random)
        if !strikes(faults.reorder) {
            at = max(at, lastArrival[channel, default: 0] + 1)
            lastArrival[channel] = at
        }
        post(what, after: at - now)
        if strikes(faults.duplicate) { post(what, after: at - now + .random(in: 1...5_000_000, using: &random)) }
    }
}

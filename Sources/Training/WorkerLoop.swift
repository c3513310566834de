import Coordination
import Foundation
import Kernels
import LanguageModel
package import ZeroMQ

/// A worker's main thread: its socket and the machine that decides. The arithmetic is ``WorkerCompute``'s.
package final class WorkerLoop {
    package struct Options: Sendable {
        package var access: WorkerAccess
        package var name: String
        package var threads: Int
        /// Seconds to look for a coordinator, at the start and after it was lost.
        package var retryFor: Double
        package var faults: FaultPlan
        package var software: String

        package init(
            access: WorkerAccess, name: String, threads: Int, retryFor: Double, faults: FaultPlan, software: String
        ) {
            self.access = access
            self.name = name
            self.threads = threads
            self.retryFor = retryFor
            self.faults = faults
            self.software = software
        }
    }

    package enum Ending: Sendable, Equatable {
        case finished
        case interrupted
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private enum Verdict {
        case ended(Ending)
        case rejoin(String)
        case failed(Failure)
    }

    private let options: Options
    private let context: Context
    private let say: (String) -> Void
    private let isInterrupted: () -> Bool

    /// A run's model on this worker. It outlives a session, to be offered in the next one.
    private struct Model {
        let configuration: RunConfiguration
        let replica: Replica
        let compute: WorkerCompute
        var averages: BufferPool
    }

    private let inbox: Inbox<WorkerCompute.Event>
    private var model: Model?
    /// Of the last coordinator that served this worker.
    private var term: UInt64 = 0

    // Of the present incarnation.
    private var machine: WorkerMachine
    private var average: FloatBuffer?
    private var gradients: [GradientKey: FloatBuffer] = [:]
    private var results: [UInt32: [Float]] = [:]
    private var verdict: Verdict?
    private var hadWelcome = false
    private let started = ContinuousClock.now

    private struct GradientKey: Hashable {
        var generation: UInt32
        var node: TreeNode
    }

    package init(
        options: Options, context: Context, say: @escaping (String) -> Void, isInterrupted: @escaping () -> Bool
    ) throws {
        self.options = options
        self.context = context
        self.say = say
        self.isInterrupted = isInterrupted
        machine = WorkerMachine(worker: 1, configuration: .init(), now: 0)
        inbox = try Inbox()
    }

    private var clock: UInt64 { (ContinuousClock.now - started).wholeNanoseconds }

    /// Serves until the coordinator is done with this worker.
    ///
    /// - Throws: ``Failure`` when refused, or when no coordinator answers for `retryFor` seconds.
    package func run() throws -> Ending {
        var lastContact = ContinuousClock.now
        // Without its numbers, which may count up.
        var said: String?
        while true {
            let hadJoined = try serve()
            if hadJoined { lastContact = .now }
            if case .rejoin = verdict! {} else { model?.compute.post(.stop) }
            switch verdict! {
            case .ended(let ending): return ending
            case .failed(let failure): throw failure
            case .rejoin(let reason):
                let waited = (ContinuousClock.now - lastContact) / .seconds(1)
                guard waited < options.retryFor else {
                    throw Failure(
                        description: "gave up on the coordinator at \(options.access.endpoint) after \(Int(waited)) s: "
                            + reason)
                }
                if hadJoined {
                    said = nil
                    say("\(reason); joining again")
                } else if reason.filter({ !$0.isNumber }) != said {
                    said = reason.filter { !$0.isNumber }
                    say("waits: \(reason)")
                }
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
    }

    /// One incarnation, from greeting to verdict. Answers whether a coordinator welcomed it.
    private func serve() throws -> Bool {
        verdict = nil
        hadWelcome = false
        let offer = try takeOffer()
        let identity = UInt64.random(in: 1...UInt64.max)
        var settings = WorkerMachine.Configuration()
        // The first answer of a coordinator that is not there yet never comes: greet again soon.
        settings.silenceLimit = UInt64(min(3, max(1, options.retryFor)) * 1e9)
        machine = WorkerMachine(
            worker: identity, configuration: settings, now: clock,
            run: offer == nil ? 0 : model!.configuration.runNumber, term: term, offer: offer)
        let socket = try Socket(.dealer, context: context)
        try socket.prepare(maximumFrame: Socket.maximumLease)
        try socket.set(.routingID(RoutingIdentity.bytes(identity)))
        try socket.set(.immediate(true))
        try socket.set(.reconnectInterval(milliseconds: 100))
        try socket.set(.reconnectIntervalMaximum(milliseconds: 1000))
        defer { leaveSession() }
        let contact = try FirstContact(options.access, socket, isInterrupted: isInterrupted)
        if let obstacle = try contact.wait(socket, isInterrupted: isInterrupted) {
            verdict = isInterrupted() ? .ended(.interrupted) : .rejoin(obstacle)
            return false
        }
        perform(machine.start(now: clock), socket)
        var lastTick = ContinuousClock.now
        while verdict == nil {
            _ = try Poller.wait(socket: socket, waker: inbox.waker, milliseconds: 50)
            while verdict == nil {
                guard let message = try socket.receive(maximumParts: 3) else { break }
                handle(message, socket)
            }
            for event in inbox.drain() where verdict == nil { handle(event, socket) }
            if ContinuousClock.now - lastTick >= .milliseconds(50) {
                lastTick = .now
                if isInterrupted() {
                    perform(machine.leave(now: clock), socket)
                    verdict = .ended(.interrupted)
                } else {
                    perform(machine.tick(now: clock), socket)
                }
            }
        }
        return machine.hasJoined || hadWelcome
    }

    /// What this worker still holds, once its compute thread is done with the last session.
    private func takeOffer() throws -> Offer? {
        guard let model else { return nil }
        model.compute.post(.offer)
        // A computation that has begun is finished first; nobody waits for it longer than for a lost coordinator.
        let deadline = ContinuousClock.now + .seconds(max(10, options.retryFor))
        while ContinuousClock.now < deadline, !isInterrupted() {
            // Events of the last session come before the answer, and concern nobody any more.
            for case .offered(let offer) in inbox.drain() {
                if offer == nil { dropModel() }
                return offer
            }
            Thread.sleep(forTimeInterval: 0.01)
        }
        dropModel()
        return nil
    }

    private func dropModel() {
        model?.compute.post(.stop)
        model = nil
    }

    private func leaveSession() {
        average = nil
        gradients = [:]
        results = [:]
    }

    // MARK: From the coordinator

    private func handle(_ received: borrowing ReceivedMessage, _ socket: borrowing Socket) {
        do {
            guard received.partCount >= 1, received.partCount <= 2 else { throw WireError.outOfBounds("parts") }
            let (message, envelope) = try Wire.decode(received.bytes(0))
            let payload = received.partCount > 1 ? received.byteCount(1) : 0
            try check(message, payload: payload)
            if payload > 0 {
                try received.withBytes(1) { bytes in
                    let contents = try leaseContents(message, bytes)
                    let segments = try segmentTokens(message, bytes)
                    perform(
                        machine.received(message, envelope, now: clock), socket, payload: bytes, contents: contents,
                        segments: segments)
                }
            } else {
                perform(machine.received(message, envelope, now: clock), socket)
            }
        } catch WireError.otherVersion(let version) {
            verdict = .failed(
                Failure(
                    description:
                        "the coordinator at \(options.access.endpoint) speaks protocol version \(version), this "
                        + "program version \(Wire.version): install one version on all hosts (lockstep --version)"))
        } catch {
            verdict = .failed(
                Failure(description: "the coordinator at \(options.access.endpoint) sent what makes no sense: \(error)")
            )
        }
    }

    private func check(_ message: Message, payload: Int) throws {
        let expected: Int
        switch message {
        case .snapshot(let part):
            guard let replica = model?.replica, Int(part.part) < replica.partCount else {
                throw WireError.outOfBounds("part")
            }
            expected = replica.part(Int(part.part)).range.count * 4
        case .average(let part):
            guard let replica = model?.replica, Int(part.chunk) < replica.chunks.count else {
                throw WireError.outOfBounds("chunk")
            }
            expected = replica.chunks.range(Int(part.chunk)).count * 4
        case .lease(let lease):
            guard let configuration = model?.configuration, payload > 0,
                lease.shards.allSatisfy({ $0 < UInt32(configuration.shards) })
            else {
                throw WireError.outOfBounds("shard")
            }
            return
        case .evaluate:
            guard model != nil, payload > 0 else { throw WireError.outOfBounds("segments") }
            return
        default: expected = 0
        }
        guard payload == expected else { throw WireError.outOfBounds("payload") }
    }

    private func leaseContents(_ message: Message, _ bytes: UnsafeRawBufferPointer) throws -> LeasePayload.Contents? {
        guard case .lease(let lease) = message, let configuration = model?.configuration else { return nil }
        return try LeasePayload.decode(
            bytes, shards: lease.shards.count, carried: lease.carried.count, configuration: configuration)
    }

    private func segmentTokens(_ message: Message, _ bytes: UnsafeRawBufferPointer) throws -> [[UInt32]]? {
        guard case .evaluate(let lease) = message, let configuration = model?.configuration else { return nil }
        return try SegmentPayload.decode(bytes, segments: lease.segments.count, configuration: configuration)
    }

    // MARK: From the compute thread

    private func handle(_ event: WorkerCompute.Event, _ socket: borrowing Socket) {
        switch event {
        case .applied(let applied): perform(machine.computed([.applied(applied)], now: clock), socket)
        case .gradients(let generation, let step, let nodes, let chunks):
            guard step == machine.step else { return }
            for (node, gradient) in nodes { gradients[GradientKey(generation: generation, node: node)] = gradient }
            let items = chunks.flatMap { chunk in
                nodes.map { node, _ in
                    WorkerItem.gradient(
                        GradientPart(generation: generation, step: step, node: node, chunk: UInt32(chunk)))
                }
            }
            perform(machine.computed(items, now: clock), socket)
        case .result(let result, let carry):
            guard result.step == machine.step else { return }
            results[result.shard] = carry
            perform(machine.computed([.shardResult(result)], now: clock), socket)
        case .audited(let report): perform(machine.computed([.audited(report)], now: clock), socket)
        case .evaluated(let result): perform(machine.computed([.evaluated(result)], now: clock), socket)
        // The answer to a question of an earlier session.
        case .offered: break
        }
    }

    // MARK: Actions

    private func perform(
        _ actions: [WorkerAction], _ socket: borrowing Socket, payload: UnsafeRawBufferPointer? = nil,
        contents: LeasePayload.Contents? = nil, segments: [[UInt32]]? = nil
    ) {
        for action in actions where verdict == nil {
            switch action {
            case .send(let item, let sequence, let acknowledged):
                send(item, sequence: sequence, acknowledged: acknowledged, socket)
            case .adopt(let welcome): adopt(welcome)
            case .keepReplica(let welcome):
                hadWelcome = true
                term = machine.term
                machine.adopted(chunks: model!.replica.chunks.count)
                model!.compute.post(.install(step: welcome.step))
                say("goes on with its own replica at step \(welcome.step)")
            case .handOver(let recall): handOver(recall, socket)
            case .storeSnapshot(let part): model!.replica.fill(part: part, from: payload!)
            case .installSnapshot(let step): model!.compute.post(.install(step: step))
            case .storeAverage(_, let chunk):
                let target = average ?? model!.averages.take()
                average = target
                UnsafeMutableRawPointer(target.base + model!.replica.chunks.range(chunk).lowerBound)
                    .copyMemory(from: payload!.baseAddress!, byteCount: payload!.count)
            case .apply(let commit):
                model!.compute.post(.apply(commit, average: average!))
                average = nil
                gradients = [:]
                results = [:]
            case .compute(let lease): model!.compute.post(.compute(lease, contents!))
            case .evaluate(let lease): model!.compute.post(.evaluate(lease, segments!))
            case .restartStep(let generation):
                model!.compute.cancel(before: generation)
                average = nil
                gradients = gradients.filter { $0.key.generation >= generation }
                results = [:]
            case .discard: break
            case .rejoin(let reason): verdict = .rejoin(reason)
            case .refused(let refusal):
                verdict = .failed(Failure(description: "the coordinator refused this worker: \(refusal.reason)"))
            case .finish: verdict = .ended(.finished)
            }
        }
    }

    private func adopt(_ welcome: Welcome) {
        do {
            let configuration = try JSONDecoder().decode(RunConfiguration.self, from: Data(welcome.configuration))
            try configuration.validate()
            let replica = Replica(configuration: configuration)
            guard Int(welcome.snapshotParts) == replica.partCount else {
                throw ConfigurationError("the snapshot's size does not fit the model")
            }
            hadWelcome = true
            term = machine.term
            dropModel()
            let compute = WorkerCompute(
                configuration: configuration, replica: replica, threads: options.threads, inbox: inbox,
                faults: options.faults)
            model = Model(
                configuration: configuration, replica: replica, compute: compute,
                averages: BufferPool(count: replica.chunks.floats))
            machine.adopted(chunks: replica.chunks.count)
            say("joined the run of \(configuration.corpus.name) at step \(welcome.step)")
        } catch {
            verdict = .failed(Failure(description: "the coordinator's configuration cannot be used: \(error)"))
        }
    }

    /// Sends what a coordinator that was started again asks for; the compute thread rests meanwhile.
    private func handOver(_ recall: Recall, _ socket: borrowing Socket) {
        guard let model else { return }
        var items: [WorkerItem] = []
        for shard in recall.shards {
            guard let carry = model.compute.carry(shard: Int(shard), step: recall.step) else { continue }
            results[shard] = carry
            items.append(.carry(CarryPart(step: recall.step, shard: shard)))
        }
        if recall.wantsReplica {
            items += (0..<model.replica.partCount).map { .snapshot(SnapshotPart(step: recall.step, part: UInt32($0))) }
            items.append(
                .history(model.compute.history.filter { $0.step >= recall.historyFrom && $0.step <= recall.step }))
        }
        say("hands over what it holds of step \(recall.step)")
        perform(machine.handOver(items, now: clock), socket)
    }

    private func send(_ item: WorkerItem, sequence: UInt64, acknowledged: UInt64, _ socket: borrowing Socket) {
        let envelope = Envelope(
            run: machine.runInEnvelopes, worker: machine.worker, sequence: sequence, acknowledged: acknowledged)
        do {
            let outcome: SendOutcome
            switch item {
            case .hello:
                let hello = Hello(
                    run: machine.runInEnvelopes, name: options.name, host: ProcessInfo.processInfo.hostName,
                    process: UInt32(ProcessInfo.processInfo.processIdentifier), threads: UInt32(options.threads),
                    software: options.software, term: machine.term, offer: machine.offer)
                outcome = try socket.send(control: Wire.encode(.hello(hello), envelope))
            case .gradient(let part):
                let key = GradientKey(generation: part.generation, node: part.node)
                outcome = try socket.send(
                    control: Wire.encode(.gradient(part), envelope), payload: gradients[key]!,
                    range: model!.replica.chunks.range(Int(part.chunk)))
            case .shardResult(let result):
                let carry = results[result.shard]!.withUnsafeBytes { Array($0) }
                outcome = try socket.send(control: Wire.encode(.shardResult(result), envelope), bytes: carry)
            case .applied(let applied): outcome = try socket.send(control: Wire.encode(.applied(applied), envelope))
            case .heartbeat: outcome = try socket.send(control: Wire.encode(.heartbeat, envelope))
            case .goodbye: outcome = try socket.send(control: Wire.encode(.goodbye, envelope))
            case .snapshot(let part):
                let (buffer, range) = model!.replica.part(Int(part.part))
                outcome = try socket.send(
                    control: Wire.encode(.snapshot(part), envelope), payload: model!.replica.buffers[buffer],
                    range: range)
            case .carry(let part):
                let carry = results[part.shard]!.withUnsafeBytes { Array($0) }
                outcome = try socket.send(control: Wire.encode(.carry(part), envelope), bytes: carry)
            case .history(let records):
                outcome = try socket.send(control: Wire.encode(.history(records), envelope))
            case .audited(let report): outcome = try socket.send(control: Wire.encode(.audited(report), envelope))
            case .evaluated(let result):
                outcome = try socket.send(control: Wire.encode(.evaluated(result), envelope))
            }
            if outcome != .sent { verdict = .rejoin("the coordinator cannot be reached") }
        } catch {
            verdict = .failed(Failure(description: "\(error)"))
        }
    }
}

import Coordination
import Corpus
import Kernels
import ZeroMQ

// The bytes that leave: snapshots, leases, averages.
extension CoordinatorLoop {
    func announce(_ worker: WorkerID) {
        guard let hello = machine.hello(of: worker) else { return }
        names[worker] = hello.name
        saidWaiting = nil
        if stepIsFresh { stepStarted = .now }
        progress.event(.joined(hello, workers: machine.readyWorkers.count))
    }

    /// Before the first commit of this start there is no time of a step to measure.
    var stepIsFresh: Bool { machine.step == job.step }

    func send(
        _ item: CoordinatorItem, to worker: WorkerID, sequence: UInt64, acknowledged: UInt64,
        _ socket: borrowing Socket
    ) {
        let envelope = Envelope(
            run: configuration.runNumber, worker: worker, sequence: sequence, acknowledged: acknowledged)
        let route = RoutingIdentity.bytes(worker)
        do {
            let outcome: SendOutcome
            switch item {
            case .welcome(let step, let snapshotParts):
                let number = faults.nextNumber
                let welcome = Welcome(
                    run: configuration.runNumber, term: machine.configuration.term, step: step,
                    snapshotParts: UInt32(snapshotParts), heartbeatInterval: machine.configuration.heartbeatInterval,
                    silenceLimit: machine.configuration.silenceLimit, configuration: encodedConfiguration,
                    faults: faults.text(forNumber: number), memory: shareMemory(with: worker))
                outcome = try socket.send(to: route, control: Wire.encode(.welcome(welcome), envelope))
                if outcome == .sent { faults.welcomed(worker, number: number) }
            case .snapshot(let part):
                let (buffer, range) = job.replica.part(Int(part.part))
                outcome = try socket.send(
                    to: route, control: Wire.encode(.snapshot(part), envelope),
                    payload: snapshots.buffer(buffer, for: worker), range: range)
                // The messages under way hold what they need.
                if Int(part.part) == job.replica.partCount - 1 { snapshots.forget(worker) }
            case .lease(let lease):
                outcome = try socket.send(
                    to: route, control: Wire.encode(.lease(lease), envelope), bytes: leasePayload(lease))
            case .evaluate(let lease):
                outcome = try socket.send(
                    to: route, control: Wire.encode(.evaluate(lease), envelope), bytes: segmentTokens(lease))
            case .average(var part):
                if sharedMemory[worker] != nil, let place = averages.lend(step: part.step, to: worker) {
                    part.memory = place
                    outcome = try socket.send(to: route, control: Wire.encode(.average(part), envelope))
                } else {
                    outcome = try socket.send(
                        to: route, control: Wire.encode(.average(part), envelope), payload: averages[part.step],
                        range: chunks.range(Int(part.chunk)))
                }
            case .commit(let step):
                let commit = decided[step]!.commit(step)
                outcome = try socket.send(to: route, control: Wire.encode(.commit(commit), envelope))
            case .heartbeat: outcome = try socket.send(to: route, control: Wire.encode(.heartbeat, envelope))
            case .finish: outcome = try socket.send(to: route, control: Wire.encode(.finish, envelope))
            case .recall(let recall):
                outcome = try socket.send(to: route, control: Wire.encode(.recall(recall), envelope))
            case .restart(let restart):
                outcome = try socket.send(to: route, control: Wire.encode(.restart(restart), envelope))
            }
            if outcome != .sent { unreachable.append(worker) }
        } catch {
            failure = failure ?? Failure(description: "\(error)")
            isCutShort = true
        }
    }

    /// Opens what a worker offers to share: only one of this machine and user can be.
    ///
    /// - Returns: what the worker is to open in its turn; nil where messages carry all.
    private func shareMemory(with worker: WorkerID) -> SharedPlace? {
        guard let offered = machine.hello(of: worker)?.memory, let own = memoryProbe,
            (try? SharedMemory(opening: offered, byteCount: MemoryProbe.byteCount)) != nil
        else { return nil }
        // Gradients of the nodes of a lease or two.
        sharedMemory[worker] = OpenedMemory(limit: 32)
        averages.share()
        return own.place
    }

    func leasePayload(_ lease: Lease) -> [UInt8] {
        let rows = configuration.rowsPerShard
        let window = configuration.window(step: lease.step)
        let tokens = lease.shards.map { shard in
            job.batches.tokens(rows: Int(shard) * rows..<(Int(shard) + 1) * rows, window: window)
        }
        return LeasePayload.encode(tokens: tokens, carries: lease.carried.map { carries.shard(Int($0)) })
    }
}

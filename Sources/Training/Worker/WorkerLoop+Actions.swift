import Coordination
import Foundation
import Kernels
import ZeroMQ

// What the compute thread tells, and what the machine decides, done in order.
extension WorkerLoop {
    func handle(_ event: WorkerCompute.Event, _ socket: borrowing Socket) {
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
        case .result(let result, let carries, let range):
            guard result.step == machine.step else { return }
            results[result.node] = (carries, range)
            perform(machine.computed([.nodeResult(result)], now: clock), socket)
        case .audited(let report): perform(machine.computed([.audited(report)], now: clock), socket)
        case .lacksCarry(let shard, let step):
            guard step == machine.step else { return }
            verdict = .rejoin("the coordinator left out the carry of shard \(shard)")
        case .evaluated(let result): perform(machine.computed([.evaluated(result)], now: clock), socket)
        // The answer to a question of an earlier session.
        case .offered: break
        }
    }

    func perform(
        _ actions: [WorkerAction], _ socket: borrowing Socket, payload: UnsafeRawBufferPointer? = nil,
        lent: FloatBuffer? = nil, contents: LeasePayload.Contents? = nil, segments: [[UInt32]]? = nil
    ) {
        for action in actions where verdict == nil {
            switch action {
            case .send(let item, let sequence, let acknowledged):
                send(item, sequence: sequence, acknowledged: acknowledged, socket)
            case .adopt(let welcome): if takeFaults(welcome), shareMemory(welcome) { adopt(welcome) }
            case .keepReplica(let welcome): if takeFaults(welcome), shareMemory(welcome) { keepReplica(welcome) }
            case .handOver(let recall): handOver(recall, socket)
            case .storeSnapshot(let part): model!.replica.fill(part: part, from: payload!)
            case .installSnapshot(let step): install(step: step)
            case .storeAverage(_, let chunk): store(averageOf: chunk, payload, lent)
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

    /// In a session the worker's own faults hold, and those that its coordinator sent.
    private func takeFaults(_ welcome: Welcome) -> Bool {
        do { faults = options.faults + (try FaultPlan(welcome.faults)) } catch {
            verdict = .failed(Failure(description: "the coordinator's faults cannot be used: \(error)"))
        }
        return verdict == nil
    }

    private func adopt(_ welcome: Welcome) {
        handedOver = [:]
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
                configuration: configuration, replica: replica, threads: options.threads, inbox: inbox)
            model = Model(
                configuration: configuration, replica: replica, compute: compute,
                averages: BufferPool(count: replica.chunks.floats))
            machine.adopted(chunks: replica.chunks.count)
            say("joined the run of \(configuration.corpus.name) at step \(welcome.step)")
        } catch {
            verdict = .failed(Failure(description: "the coordinator's configuration cannot be used: \(error)"))
        }
    }

    private func keepReplica(_ welcome: Welcome) {
        handedOver = [:]
        hadWelcome = true
        term = machine.term
        machine.adopted(chunks: model!.replica.chunks.count)
        install(step: welcome.step)
        say("goes on with its own replica at step \(welcome.step)")
    }

    private func install(step: UInt64) {
        model!.compute.post(.install(step: step, faults, sharesGradients: sharedMemory != nil))
    }

    /// Opens what the coordinator shares, where it does.
    private func shareMemory(_ welcome: Welcome) -> Bool {
        guard let place = welcome.memory else { return true }
        do throws(SharedMemoryError) {
            _ = try SharedMemory(opening: place, byteCount: MemoryProbe.byteCount)
            // Averages: two or three by turns.
            sharedMemory = OpenedMemory(limit: 4)
        } catch {
            cannotOpen(error)
        }
        return verdict == nil
    }

    private func store(averageOf chunk: Int, _ payload: UnsafeRawBufferPointer?, _ lent: FloatBuffer?) {
        if let lent {
            average = lent
            return
        }
        let payload = payload!
        let target = average ?? model!.averages.take()
        average = target
        UnsafeMutableRawPointer(target.base + model!.replica.chunks.range(chunk).lowerBound)
            .copyMemory(from: payload.baseAddress!, byteCount: payload.count)
    }

    /// Sends what a coordinator that was started again asks for; the compute thread rests meanwhile.
    private func handOver(_ recall: Recall, _ socket: borrowing Socket) {
        guard let model else { return }
        var items: [WorkerItem] = []
        for shard in recall.shards {
            guard let carry = model.compute.carry(shard: Int(shard), step: recall.step) else { continue }
            let part = CarryPart(step: recall.step, shard: shard)
            handedOver[part] = carry
            items.append(.carry(part))
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
                    software: options.software, term: machine.term, offer: machine.offer, memory: memoryProbe?.place)
                outcome = try socket.send(control: Wire.encode(.hello(hello), envelope))
            case .gradient(var part):
                let gradient = gradients[GradientKey(generation: part.generation, node: part.node)]!
                part.memory = gradient.place
                if part.memory != nil {
                    outcome = try socket.send(control: Wire.encode(.gradient(part), envelope))
                } else {
                    outcome = try socket.send(
                        control: Wire.encode(.gradient(part), envelope), payload: gradient,
                        range: model!.replica.chunks.range(Int(part.chunk)))
                }
            case .nodeResult(let result):
                let (buffer, range) = results[result.node]!
                outcome = try socket.send(
                    control: Wire.encode(.nodeResult(result), envelope), payload: buffer, range: range)
            case .applied(let applied): outcome = try socket.send(control: Wire.encode(.applied(applied), envelope))
            case .heartbeat: outcome = try socket.send(control: Wire.encode(.heartbeat, envelope))
            case .goodbye: outcome = try socket.send(control: Wire.encode(.goodbye, envelope))
            case .snapshot(let part):
                let (buffer, range) = model!.replica.part(Int(part.part))
                outcome = try socket.send(
                    control: Wire.encode(.snapshot(part), envelope), payload: model!.replica.buffers[buffer],
                    range: range)
            case .carry(let part):
                let carry = handedOver[part]!.withUnsafeBytes { Array($0) }
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

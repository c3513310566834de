import Coordination
import Foundation
import Kernels
import ZeroMQ

// What the machine decided, done in order.
extension CoordinatorLoop {
    func perform(
        _ actions: [CoordinatorAction], _ socket: borrowing Socket, message: Message? = nil,
        payload: UnsafeRawBufferPointer? = nil, lent: FloatBuffer? = nil
    ) {
        var committed: UInt64?
        var hasCommitted = false
        // What the machine is told meanwhile makes new messages, which must not leave before those decided already.
        var afterwards: [CoordinatorAction] = []
        for action in actions {
            guard failure == nil else { break }
            switch action {
            case .send(let worker, let item, let sequence, let acknowledged):
                send(item, to: worker, sequence: sequence, acknowledged: acknowledged, socket)
            case .refuse(let worker, let refusal): send(refusal, to: worker, socket)
            case .takeSnapshot(let worker, let step):
                // A worker that greets again ends its earlier session, which may complete the step: the update first.
                if let done = committed {
                    update(done)
                    committed = nil
                }
                snapshots.take(of: job.replica, step: step, for: worker)
            case .fold(let chunk, let changes):
                add(changes, chunk: chunk, lent.map { .lent($0) } ?? .message(payload!))
            case .acceptShards(let shards): accept(shards, of: message, payload!)
            case .acceptSegments(let segments): accept(segments, of: message)
            case .evaluated: evaluated()
            case .commit(let step):
                decide(step)
                committed = step
                hasCommitted = true
            case .joined(let worker): announce(worker)
            case .evict(let worker, let reason): forget(worker, reason)
            case .abandonStep: abandonStep()
            case .settle, .verifyRecalled: afterwards.append(action)
            case .ban(_, let name, let host): ban(name, on: host)
            case .note(let text): progress.event(text)
            case .complain(let text): complain(text)
            case .storeRecalledPart(let part): recall().store(part: part, payload!)
            case .storeRecalledCarry(let shard): recall().store(carry: shard, payload!)
            case .storeHistory(let records): recall().history = records
            case .recovered(let step): goOn(from: step)
            case .keptCheckpoint: goOnFromCheckpoint()
            case .fail(let reason, let savesState): fail(reason, savesState: savesState)
            case .discard, .finished: break
            }
        }
        // Also where a send failed: the carries have moved on with the commit, and a checkpoint takes both. A commit that
        // failed itself is not decided.
        if let committed, decided[committed] != nil { update(committed) }
        if failure != nil { return }
        if hasCommitted { forgetOldSteps() }
        loseUnreachable(socket)
        answer(afterwards, socket)
    }

    /// Does what the machine is to be told the outcome of.
    private func answer(_ actions: [CoordinatorAction], _ socket: borrowing Socket) {
        for action in actions where failure == nil {
            switch action {
            case .settle(let dispute): settle(dispute, socket)
            case .verifyRecalled: verifyRecalled(socket)
            default: preconditionFailure("no other action is put off")
            }
        }
    }

    private func send(_ refusal: Refusal, to worker: WorkerID, _ socket: borrowing Socket) {
        // A member's refusal is told as its eviction; a broken session is mended by joining anew.
        if names[worker] == nil, refusal.code != .sessionBroken {
            let origin = stranger.map { " from \($0)" } ?? ""
            complain("refused a peer\(origin) that has not joined: \(refusal.reason)")
        }
        let envelope = Envelope(run: configuration.runNumber, worker: worker, sequence: 0, acknowledged: 0)
        _ = try? socket.send(to: RoutingIdentity.bytes(worker), control: Wire.encode(.refuse(refusal), envelope))
    }

    private func add(_ changes: [ChunkFold.Change], chunk: Int, _ payload: GradientPayload) {
        let average = averages.open(step: machine.step)
        fold.apply(changes, chunk: chunk, payload: payload, into: average)
        // Now, while it is in the caches, and not when everybody waits for the commit.
        if changes.last == .complete {
            squares[chunk] = Kernels.sumOfSquares(average, range: chunks.range(chunk))
        }
    }

    private func accept(_ shards: [Int], of message: Message?, _ payload: UnsafeRawBufferPointer) {
        guard case .nodeResult(let result) = message, let all = machine.tree.shards(result.node) else {
            preconditionFailure("only results are accepted")
        }
        let bytes = configuration.carryBytes
        for shard in shards {
            let index = shard - all.lowerBound
            losses[shard] = Double(bitPattern: result.lossBits[index])
            carries.accept(
                shard: shard, bytes: UnsafeRawBufferPointer(rebasing: payload[index * bytes..<(index + 1) * bytes]))
        }
    }

    private func ban(_ name: String, on host: String) {
        // It may not have joined yet.
        faults.end()
        // One of another host may bear the same name as a process of this machine.
        if host == ProcessInfo.processInfo.hostName { onBan(name) }
    }

    private func fail(_ reason: String, savesState: Bool) {
        guard !savesState || parametersAreFinite() else { return }
        self.savesState = savesState
        failure = Failure(description: reason)
    }

    private func forget(_ worker: WorkerID, _ reason: String) {
        snapshots.forget(worker)
        faults.forget(worker)
        sharedMemory[worker] = nil
        guard let name = names.removeValue(forKey: worker) else { return }
        faults.end()
        absences.begin(name)
        progress.event(.lost(name, reason: reason, left: machine.readyWorkers.count))
    }

    private func goOnFromCheckpoint() {
        recalled = nil
        progress.event("nothing newer than the checkpoint of step \(job.step) can be taken over from the workers")
        attempt { try begin() }
    }

    private func loseUnreachable(_ socket: borrowing Socket) {
        let lost = unreachable
        unreachable = []
        for worker in lost where failure == nil {
            perform(machine.lose(worker, "cannot be reached", now: clock), socket)
        }
    }

    func attempt(_ body: () throws -> Void) {
        do { try body() } catch { failure = failure ?? Failure(description: "\(error)") }
    }
}

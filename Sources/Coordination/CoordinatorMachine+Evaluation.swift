/// A forward pass over the held-out text that is under way between two steps: which segments are asked of whom, and
/// which are answered.
///
/// The text is cut into segments whatever the workers. Each segment's loss depends on the replica and the text alone, so
/// a lost worker's segments go to others, and two answers for one segment are equal.
struct OpenEvaluation: Hashable, Sendable {
    /// Segments handed to a worker in one lease.
    struct Grant: Hashable, Sendable {
        let segments: Set<Int>
        /// Segments that the worker had to do by the end of this lease.
        let load: Int
        let time: UInt64
    }

    let opened: UInt64
    /// Segments that nobody holds.
    var unleased: Set<Int>
    var accepted: Set<Int> = []
    /// Leases that were not answered yet.
    var grants: [WorkerID: [Grant]] = [:]

    func holds(_ worker: WorkerID) -> Bool { grants[worker].map { !$0.isEmpty } ?? false }

    func isHeld(_ segment: Int) -> Bool {
        grants.values.contains { $0.contains { $0.segments.contains(segment) } }
    }
}

extension CoordinatorMachine {
    /// Asks for the held-out text to be evaluated once `steps` steps are committed, before the next one begins. Where they
    /// are, as after a recovery, it begins now: to be asked before anything of the open step is leased.
    package mutating func evaluate(after steps: UInt64, now: UInt64) {
        guard configuration.segments > 0 else { return }
        evaluationDue = steps
        openEvaluation(now: now)
    }

    /// Whether the held-out text is being evaluated after the last committed step.
    package var isEvaluating: Bool { evaluation != nil }

    /// Opens what is due after the last committed step.
    mutating func openEvaluation(now: UInt64) {
        guard evaluationDue == step else { return }
        evaluationDue = nil
        // Also after the last step of all.
        isFinished = false
        evaluation = OpenEvaluation(opened: now, unleased: Set(0..<configuration.segments))
    }

    mutating func leaseSegments(now: UInt64) {
        guard let free = evaluation?.unleased, !free.isEmpty else { return }
        for (worker, segments) in LeasePlan.apportion(free.sorted(), among: paces) {
            grant(segments: segments, to: worker, now: now)
        }
        evaluation!.unleased = []
    }

    private mutating func grant(segments: [Int], to worker: WorkerID, now: UInt64) {
        var load = evaluation!.grants[worker]?.last?.load ?? 0
        for start in stride(from: 0, to: segments.count, by: configuration.segmentsPerLease) {
            let part = segments[start..<min(start + configuration.segmentsPerLease, segments.count)]
            load += part.count
            evaluation!.grants[worker, default: []].append(
                OpenEvaluation.Grant(segments: Set(part), load: load, time: now))
            members[worker]!.session.enqueue(
                .evaluate(EvaluationLease(step: step, segments: part.map(UInt32.init))))
        }
    }

    mutating func evaluated(_ result: EvaluationResult, by worker: WorkerID, now: UInt64) -> [CoordinatorAction] {
        guard let evaluation, result.step == step else {
            return [.discard(worker, reason: "an evaluation after step \(result.step) came when it was over")]
        }
        let segments = Set(result.segments.map(Int.init))
        guard let index = evaluation.grants[worker]?.firstIndex(where: { $0.segments == segments }) else {
            return evict(worker, "sent an evaluation that it was not asked for", .protocolViolation, now: now)
        }
        let grant = self.evaluation!.grants[worker]!.remove(at: index)
        segmentCost = max(1, now.since(grant.time) / UInt64(grant.load))
        let fresh = segments.subtracting(evaluation.accepted)
        if fresh.isEmpty { return [.discard(worker, reason: "an evaluation came twice")] }
        self.evaluation!.accepted.formUnion(fresh)
        self.evaluation!.unleased.subtract(fresh)
        return [.acceptSegments(fresh)] + closeEvaluation(now: now)
    }

    private mutating func closeEvaluation(now: UInt64) -> [CoordinatorAction] {
        guard evaluation?.accepted.count == configuration.segments else { return [] }
        evaluation = nil
        return [.evaluated(step: step)] + openStep(now: now)
    }

    /// A worker is gone: what it held is free, unless another has it too.
    mutating func segmentsLost(by worker: WorkerID) {
        guard let grants = evaluation?.grants.removeValue(forKey: worker) else { return }
        for segment in grants.flatMap(\.segments)
        where !evaluation!.accepted.contains(segment) && !evaluation!.isHeld(segment) {
            evaluation!.unleased.insert(segment)
        }
    }

    /// Gives late segments to workers that have nothing to do, as with shards.
    mutating func speculateSegments(now: UInt64) -> [CoordinatorAction] {
        guard let evaluation else { return [] }
        let idle = paces.filter { !evaluation.holds($0.worker) }
        guard !idle.isEmpty else { return [] }
        var late: Set<Int> = []
        var inTime: Set<Int> = []
        for worker in order {
            for grant in evaluation.grants[worker] ?? [] {
                // Before the first measure nothing is known of how long a segment takes.
                let expected = segmentCost.map { $0.times(grant.load) }
                let allowed = expected.map { $0 + $0 / 2 + configuration.speculationFloor } ?? 10_000_000_000
                if now.since(grant.time) > allowed {
                    late.formUnion(grant.segments)
                } else {
                    inTime.formUnion(grant.segments)
                }
            }
        }
        let copies = late.subtracting(inTime).subtracting(evaluation.accepted)
        guard !copies.isEmpty else { return [] }
        let reason = waitingReason(now: now) ?? "an evaluation is late"
        var names: [String] = []
        for (worker, segments) in LeasePlan.apportion(copies.sorted(), among: idle) {
            grant(segments: segments, to: worker, now: now)
            names.append(members[worker]!.hello.name)
        }
        return [.note("\(reason): given to \(names.joined(separator: ", ")) too")]
    }

    /// What an evaluation waits for, in words.
    func evaluationWaits(_ evaluation: OpenEvaluation, now: UInt64) -> String {
        let holders = order.filter { evaluation.holds($0) }.map { members[$0]!.hello.name }
        let tenths = now.since(evaluation.opened) / 100_000_000
        return "the evaluation after step \(step) waits \(tenths / 10).\(tenths % 10) s for "
            + "\(configuration.segments - evaluation.accepted.count) of \(configuration.segments) segments"
            + (holders.isEmpty ? "" : " of \(holders.joined(separator: ", "))")
    }
}

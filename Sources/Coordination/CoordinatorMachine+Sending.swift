// Sending: sessions, credits and the ends of sessions.
extension CoordinatorMachine {
    /// Tells every worker that the run is over.
    package mutating func finish(now: UInt64) -> [CoordinatorAction] {
        order.map { stamped($0, .finish, now: now) }
    }

    mutating func evict(_ worker: WorkerID, _ reason: String, _ code: Refusal.Code, now: UInt64)
        -> [CoordinatorAction]
    {
        [.refuse(worker, Refusal(code: code, reason: reason))] + lose(worker, reason, now: now)
    }

    mutating func stamped(_ worker: WorkerID, _ item: CoordinatorItem, now: UInt64) -> CoordinatorAction {
        let stamp = members[worker]!.session.stamp()
        members[worker]!.lastSent = now
        return .send(worker, item, sequence: stamp.sequence, acknowledged: stamp.acknowledged)
    }

    /// Lets everything leave that has credits, and returns credits that are due.
    mutating func pump(now: UInt64) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for worker in order {
            for item in members[worker]!.session.releasable() {
                // A lease that waited for credits until its step was over is of no use to anyone.
                if case .lease(let lease) = item, lease.step != step { continue }
                if case .evaluate(let lease) = item, lease.step != step || !isEvaluating { continue }
                actions.append(stamped(worker, item, now: now))
                if item.isNeededToJoin { members[worker]!.underWay.append(members[worker]!.session.sent) }
            }
            if members[worker]!.session.owesAcknowledgement { actions.append(stamped(worker, .heartbeat, now: now)) }
        }
        return actions
    }
}

extension CoordinatorItem {
    /// Whether a worker needs it for its replica, so that its arrival is progress in joining.
    fileprivate var isNeededToJoin: Bool {
        switch self {
        case .welcome, .snapshot: true
        default: false
        }
    }
}

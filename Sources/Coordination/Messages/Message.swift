/// A worker process's incarnation: random, fresh at each (re)join, never zero. It is its routing id too.
package typealias WorkerID = UInt64

/// What the two sides say to each other. Bulk values (floats, tokens) travel in a second frame, the payload.
///
/// docs/protocol.md draws a session, and has the fields of every message.
package enum Message: Hashable, Sendable {
    case hello(Hello)
    case welcome(Welcome)
    case refuse(Refusal)
    /// Payload: the floats of this part. To a worker that joins, and from one whose replica is recalled.
    case snapshot(SnapshotPart)
    /// Payload: tokens, then carries; see ``Lease``.
    case lease(Lease)
    /// Payload: the floats of the chunk, unless the message names memory where they lie.
    case gradient(GradientPart)
    /// Payload: the carries of its shards after the window, in ascending order.
    case nodeResult(NodeResult)
    /// Payload: the floats of the chunk, unless the message names memory where they lie.
    case average(AveragePart)
    case commit(Commit)
    case applied(Applied)
    case heartbeat
    case goodbye
    case finish
    case recall(Recall)
    /// Payload: the shard's carry into the step.
    case carry(CarryPart)
    case history([HistoryRecord])
    case audited(AuditReport)
    case restart(Restart)
    /// Payload: the segments' tokens; see ``EvaluationLease``.
    case evaluate(EvaluationLease)
    case evaluated(EvaluationResult)
    case statusRequest
    /// A ``RunSnapshot``, JSON.
    case status([UInt8])
}

extension Message {
    /// What stands on the wire for it; see ``bodies``.
    var body: any WireMessage {
        switch self {
        case .hello(let body): body
        case .welcome(let body): body
        case .refuse(let body): body
        case .snapshot(let body): body
        case .lease(let body): body
        case .gradient(let body): body
        case .nodeResult(let body): body
        case .average(let body): body
        case .commit(let body): body
        case .applied(let body): body
        case .heartbeat: Heartbeat()
        case .goodbye: Goodbye()
        case .finish: Finish()
        case .recall(let body): body
        case .carry(let body): body
        case .history(let records): History(records: records)
        case .audited(let body): body
        case .restart(let body): body
        case .evaluate(let body): body
        case .evaluated(let body): body
        case .statusRequest: StatusRequest()
        case .status(let snapshot): Status(snapshot: snapshot)
        }
    }

    /// The bodies that are read, one type for each case.
    static let bodies: [any WireMessage.Type] = [
        Hello.self, Welcome.self, Refusal.self, SnapshotPart.self, Lease.self, GradientPart.self, NodeResult.self,
        AveragePart.self, Commit.self, Applied.self, Heartbeat.self, Goodbye.self, Finish.self, Recall.self,
        CarryPart.self, History.self, AuditReport.self, Restart.self, EvaluationLease.self, EvaluationResult.self,
        StatusRequest.self, Status.self,
    ]
}

/// A shard that another worker computes too in the open step, to see that they come to the same bits.
struct Audit: Hashable, Sendable {
    let shard: Int
    let auditor: Sender
    let generation: UInt32
    var values: ShardValues
    var report: ShardAnswer?
    /// When all but the audit was there.
    var awaitedSince: UInt64?
    /// Until the values are known to be right.
    var isOpen = true
}

/// Whose values they are, and who that is beyond its session: a worker that was lost may be back under its name.
package struct Sender: Hashable, Sendable {
    let worker: WorkerID
    let identity: CoordinatorMachine.Identity
}

/// The values of one shard that the open step uses, and who sent them: more than one worker where a lease was lost or
/// late.
package struct ShardValues: Hashable, Sendable {
    struct Chunk: Hashable, Sendable {
        let digest: UInt64
        let sender: Sender
    }

    struct Result: Hashable, Sendable {
        let lossBits: UInt64
        let carryDigest: UInt64
        let sender: Sender
    }

    var chunks: [Chunk?]
    var result: Result?

    init(chunks: Int) { self.chunks = Array(repeating: nil, count: chunks) }

    /// Once they are complete.
    var answer: ShardAnswer? {
        guard let result, chunks.allSatisfy({ $0 != nil }) else { return nil }
        return ShardAnswer(
            lossBits: result.lossBits, carryDigest: result.carryDigest, chunkDigests: chunks.map { $0!.digest })
    }

    private var senders: Set<Sender> { Set(chunks.compactMap { $0?.sender } + (result.map { [$0.sender] } ?? [])) }

    /// Whether another opinion is independent of these values.
    func areIndependent(of other: Sender) -> Bool { !senders.contains { $0.identity == other.identity } }

    /// Who sent what is not in the right answer.
    func liars(_ truth: ShardAnswer) -> Set<Sender> {
        var liars = Set(zip(chunks, truth.chunkDigests).compactMap { $0?.digest == $1 ? nil : $0?.sender })
        if let result, result.lossBits != truth.lossBits || result.carryDigest != truth.carryDigest {
            liars.insert(result.sender)
        }
        return liars
    }
}

import Coordination

/// The memory of all processes, as far as gradients and averages lie in it. Who has opened a buffer of another process
/// reads what is there at that moment, also once that process has ended.
struct SimulatedMemory: Hashable {
    /// What no arithmetic makes: who reads it comes to other digests.
    private static let garbage: UInt64 = 0xDEAD

    private let chunks: Int
    /// Of each process, in the order in which it made them.
    private var buffers: [UInt32: [[UInt64]]] = [:]
    /// What another process has opened.
    private var opened: Set<SharedPlace> = []
    private var ended: Set<UInt32> = []

    init(chunks: Int) { self.chunks = chunks }

    subscript(place: SharedPlace, chunk: Int) -> UInt64 {
        get { buffers[place.process]![Int(place.descriptor)][chunk] }
        set { buffers[place.process]![Int(place.descriptor)][chunk] = newValue }
    }

    /// What a process offers to be tried.
    static func probe(of process: UInt32) -> SharedPlace {
        SharedPlace(process: process, descriptor: .max, tag: 0)
    }

    fileprivate mutating func make(in process: UInt32) -> SharedPlace {
        let count = buffers[process]?.count ?? 0
        buffers[process, default: []].append(Array(repeating: Self.garbage, count: chunks))
        return SharedPlace(process: process, descriptor: UInt32(count), tag: 0)
    }

    fileprivate mutating func spoil(_ place: SharedPlace) {
        buffers[place.process]![Int(place.descriptor)] = Array(repeating: Self.garbage, count: chunks)
    }

    /// What nobody else has opened goes with its process.
    mutating func end(_ process: UInt32) {
        ended.insert(process)
        if !opened.contains(where: { $0.process == process }) { buffers[process] = nil }
    }

    /// - Returns: false where its process has ended.
    mutating func open(_ place: SharedPlace) -> Bool {
        guard !ended.contains(place.process) else { return false }
        opened.insert(place)
        return true
    }
}

/// A process's buffers of one kind, as `BufferPool` has them: used again as soon as nobody in this process holds them.
struct SimulatedPool: Hashable {
    private var places: [SharedPlace] = []

    /// Whatever is left of the buffer's last use is overwritten at once.
    mutating func take(held: Set<SharedPlace>, by process: UInt32, _ memory: inout SimulatedMemory) -> SharedPlace {
        if let place = places.first(where: { !held.contains($0) }) {
            memory.spoil(place)
            return place
        }
        let place = memory.make(in: process)
        places.append(place)
        return place
    }

    /// Never hands out this one again.
    mutating func forget(_ place: SharedPlace) { places.removeAll { $0 == place } }
}

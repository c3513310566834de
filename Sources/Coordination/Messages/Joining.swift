// How a worker is let in, or not.

/// A worker's greeting, the first message of its session.
package struct Hello: Hashable, Sendable {
    /// The run that the worker last served; 0 for any.
    package var run: UInt64
    /// The worker's, for people; with `host` it is what a ban is tied to.
    package var name: String
    package var host: String
    /// The process's id on its host: a process has one session.
    package var process: UInt32
    /// That compute, at least 1.
    package var threads: UInt32
    /// The program's version, for people.
    package var software: String
    /// The newest term of a coordinator that this worker has served; 0 for none.
    package var term: UInt64
    package var offer: Offer?
    /// What a coordinator that can open it shares memory with; nil where the worker is not known to be on its machine.
    package var memory: SharedPlace?

    package init(
        run: UInt64, name: String, host: String, process: UInt32, threads: UInt32, software: String, term: UInt64 = 0,
        offer: Offer? = nil, memory: SharedPlace? = nil
    ) {
        self.run = run
        self.term = term
        self.offer = offer
        self.memory = memory
        self.name = name
        self.host = host
        self.process = process
        self.threads = threads
        self.software = software
    }
}

extension Hello: WireMessage {
    static let kind: UInt8 = 1
    var message: Message { .hello(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(run)
        writer.put(process)
        writer.put(threads)
        writer.put(text: name)
        writer.put(text: host)
        writer.put(text: software)
        writer.put(term)
        writer.put(flag: offer != nil)
        offer?.encode(into: &writer)
        writer.put(place: memory)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        let run: UInt64 = try reader.take()
        let process: UInt32 = try reader.take()
        let threads: UInt32 = try reader.take()
        guard threads >= 1, threads <= 4096 else { throw .outOfBounds("threads") }
        self.init(
            run: run, name: try reader.takeText(), host: try reader.takeText(), process: process, threads: threads,
            software: try reader.takeText(), term: try reader.take())
        if try reader.takeFlag("offer") { offer = try Offer(from: &reader) }
        memory = try reader.takePlace("memory")
    }
}

/// The coordinator lets a worker in.
package struct Welcome: Hashable, Sendable {
    package var run: UInt64
    /// Which start of the run's coordinator speaks: higher for a later one, so that an older one is known as such.
    package var term: UInt64
    /// How many steps the snapshot holds, so the first step that the worker may be leased.
    package var step: UInt64
    /// 0: the replica that the worker offered stands.
    package var snapshotParts: UInt32
    /// How often either side says something, in nanoseconds.
    package var heartbeatInterval: UInt64
    /// Nanoseconds of silence after which the other side is held to be lost.
    package var silenceLimit: UInt64
    /// The run's configuration, JSON.
    package var configuration: [UInt8]
    /// That the worker is to inject into itself, for tests. Their text means nothing here.
    package var faults: String
    /// The coordinator's, for the worker to open in its turn: gradients and averages are then read where they lie. nil:
    /// messages carry them.
    package var memory: SharedPlace?

    package init(
        run: UInt64, term: UInt64, step: UInt64, snapshotParts: UInt32, heartbeatInterval: UInt64,
        silenceLimit: UInt64, configuration: [UInt8], faults: String = "", memory: SharedPlace? = nil
    ) {
        self.run = run
        self.term = term
        self.step = step
        self.snapshotParts = snapshotParts
        self.heartbeatInterval = heartbeatInterval
        self.silenceLimit = silenceLimit
        self.configuration = configuration
        self.faults = faults
        self.memory = memory
    }
}

extension Welcome: WireMessage {
    static let kind: UInt8 = 2
    var message: Message { .welcome(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(run)
        writer.put(term)
        writer.put(step)
        writer.put(snapshotParts)
        writer.put(heartbeatInterval)
        writer.put(silenceLimit)
        writer.put(blob: configuration)
        writer.put(text: faults, limit: Wire.maximumFaults)
        writer.put(place: memory)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(
            run: try reader.take(), term: try reader.take(), step: try reader.take(), snapshotParts: try reader.take(),
            heartbeatInterval: try reader.take(), silenceLimit: try reader.take(),
            configuration: try reader.takeBlob(limit: Wire.maximumConfiguration),
            faults: try reader.takeText(limit: Wire.maximumFaults), memory: try reader.takePlace("memory"))
    }
}

/// A session ends, or is not begun. All but `sessionBroken` end the worker's process.
package struct Refusal: Hashable, Sendable {
    /// Why, as the number on the wire.
    package enum Code: UInt8, Sendable, CaseIterable {
        /// The peers speak different versions of the protocol.
        case version = 1
        /// This coordinator serves another run, or is no longer its run's.
        case otherRun = 2
        /// The session broke (silence, a lost message): joining anew mends it.
        case sessionBroken = 3
        /// The replica differs from the coordinator's: the worker ends, and its cause is for a person to find.
        case replicaDiffers = 4
        /// A message made no sense.
        case protocolViolation = 5
        /// As many workers are connected as may be.
        case full = 6
        /// Its replica or its gradients were wrong before: it is not let in again.
        case banned = 7
    }
    package var code: Code
    /// For people: what happened, and what to do.
    package var reason: String

    package init(code: Code, reason: String) {
        self.code = code
        self.reason = reason
    }
}

extension Refusal: WireMessage {
    static let kind: UInt8 = 3
    var message: Message { .refuse(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(code.rawValue)
        writer.put(text: reason)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        guard let code = Code(rawValue: try reader.take()) else { throw .outOfBounds("refusal code") }
        self.init(code: code, reason: try reader.takeText())
    }
}

/// A chunk of the parameters, or of one of the optimizer's slots, which follow them.
package struct SnapshotPart: Hashable, Sendable {
    /// How many steps the snapshot holds.
    package var step: UInt64
    /// From 0, without a hole.
    package var part: UInt32

    package init(step: UInt64, part: UInt32) {
        self.step = step
        self.part = part
    }
}

extension SnapshotPart: WireMessage {
    static let kind: UInt8 = 4
    var message: Message { .snapshot(self) }

    func encode(into writer: inout ByteWriter) {
        writer.put(step)
        writer.put(part)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(step: try reader.take(), part: try reader.take())
    }
}

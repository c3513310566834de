import Coordination
import Foundation
import Kernels
import LanguageModel
package import ZeroMQ

/// A worker's main thread: its socket and the machine that decides. The arithmetic is ``WorkerCompute``'s.
package final class WorkerLoop {
    /// What a command asks of its worker.
    package struct Options: Sendable {
        package var access: WorkerAccess
        /// The coordinator's address now, for each attempt; nil where it is as before.
        package var newEndpoint: @Sendable () -> String?
        package var name: String
        package var threads: Int
        /// Seconds to look for a coordinator, at the start and after it was lost.
        package var retryFor: Double
        /// Its own; the coordinator's come with the welcome.
        package var faults: FaultPlan
        package var software: String

        package init(
            access: WorkerAccess, newEndpoint: @escaping @Sendable () -> String? = { nil }, name: String, threads: Int,
            retryFor: Double, faults: FaultPlan, software: String
        ) {
            self.access = access
            self.newEndpoint = newEndpoint
            self.name = name
            self.threads = threads
            self.retryFor = retryFor
            self.faults = faults
            self.software = software
        }
    }

    /// How a worker ends that did not fail.
    package enum Ending: Sendable, Equatable {
        case finished
        case interrupted
    }

    /// Why the worker gave up.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    enum Verdict {
        case ended(Ending)
        case rejoin(String)
        case failed(Failure)
    }

    private(set) var options: Options
    private let context: Context
    let say: (String) -> Void
    private let isInterrupted: () -> Bool

    /// A run's model on this worker. It outlives a session, to be offered in the next one.
    struct Model {
        let configuration: RunConfiguration
        let replica: Replica
        let compute: WorkerCompute
        var averages: BufferPool
    }

    let inbox: Inbox<WorkerCompute.Event>
    var model: Model?
    /// The term of the last coordinator that served this worker.
    var term: UInt64 = 0

    // What follows belongs to the present incarnation.
    var machine: WorkerMachine
    var average: FloatBuffer?
    /// The coordinator's memory, where the two share it.
    var sharedMemory: OpenedMemory?
    var gradients: [GradientKey: FloatBuffer] = [:]
    /// Where the carries of a result's shards lie.
    var results: [TreeNode: (buffer: FloatBuffer, range: Range<Int>)] = [:]
    /// Carries that a coordinator which was started again asked for.
    var handedOver: [CarryPart: [Float]] = [:]
    var faults = FaultPlan.none
    var verdict: Verdict?
    var hadWelcome = false
    private let started = ContinuousClock.now

    struct GradientKey: Hashable {
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

    var clock: UInt64 { (ContinuousClock.now - started).wholeNanoseconds }

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
                        description: "gave up on the coordinator at \(options.access.endpoint) after --retry-for "
                            + "\(Interval.seconds(options.retryFor)): \(reason)")
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
        followEndpoint()
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

    /// A coordinator that was started again may listen on another port.
    private func followEndpoint() {
        guard let endpoint = options.newEndpoint(), endpoint != options.access.endpoint,
            let access = try? WorkerAccess(endpoint: endpoint, keys: options.access.keys)
        else { return }
        options.access = access
    }

    func dropModel() {
        model?.compute.post(.stop)
        model = nil
    }

    /// What is offered to a coordinator that is reached without a network: it may be on this machine.
    private(set) lazy var memoryProbe: SharedMemory? =
        options.access.endpoint.hasPrefix("ipc://") ? try? SharedMemory(byteCount: MemoryProbe.byteCount) : nil

    /// Joins anew; where nothing could be opened at all, to be sent everything in messages. Else the coordinator has given
    /// this session up, and what it had lent.
    func cannotOpen(_ error: SharedMemoryError) {
        if sharedMemory?.isEmpty ?? true { memoryProbe = nil }
        verdict = .rejoin("the coordinator's memory \(error)")
    }

    private func leaveSession() {
        average = nil
        sharedMemory = nil
        gradients = [:]
        results = [:]
        handedOver = [:]
    }
}

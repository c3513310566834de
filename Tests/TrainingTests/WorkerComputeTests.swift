import Coordination
import Foundation
import Kernels
import LanguageModel
import Testing

@testable import Training

@Suite("The compute thread of a worker")
struct WorkerComputeTests {
    private let tokens: [UInt32] = [0, 1, 2, 0]

    /// A small run.
    private let configuration: RunConfiguration = {
        var configuration = RunSettings.defaults(
            software: "", run: "", corpus: .init(path: nil, name: "", sha256: "", characters: 0))
        (configuration.model, configuration.dropout) = (ModelShape(vocabulary: 3, hidden: 4, layers: 1), 0)
        (configuration.batch, configuration.window, configuration.shards) = (2, 4, 2)
        return configuration
    }()

    /// The run's compute thread, which is to be told to stop.
    private func start() throws -> (WorkerCompute, Inbox<WorkerCompute.Event>) {
        let inbox = try Inbox<WorkerCompute.Event>()
        let compute = WorkerCompute(
            configuration: configuration, replica: Replica(configuration: configuration), threads: 1, inbox: inbox)
        return (compute, inbox)
    }

    /// Both shards of a step, the fourth unless it is said otherwise.
    private func lease(carried: [UInt32], step: UInt64 = 3, _ compute: WorkerCompute) {
        let lease = Lease(generation: 1, step: step, shards: [0, 1], carried: carried, resetsCarry: false)
        compute.post(
            .compute(
                lease,
                .init(
                    inputs: [tokens, tokens], targets: [tokens, tokens],
                    carries: carried.map { _ in Array(repeating: 0.5, count: 2 * 4) })))
    }

    /// The first answer that is to be had, of all events.
    private func first<Answer>(
        _ inbox: Inbox<WorkerCompute.Event>, _ answer: (WorkerCompute.Event) -> Answer?
    ) throws -> Answer {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            for event in inbox.drain() { if let found = answer(event) { return found } }
            Thread.sleep(forTimeInterval: 0.001)
        }
        throw CancellationError()
    }

    @Test("A shard whose carry is not here is not computed from zeros")
    func carry() throws {
        let (compute, inbox) = try start()
        defer { compute.post(.stop) }
        compute.post(.install(step: 3, .none, sharesGradients: false))
        /// The shards computed, and the one that was not.
        func outcome() throws -> (computed: [UInt32], lacking: Int?) {
            var computed: [UInt32] = []
            return try first(inbox) { event in
                if case .result(let result, _, let range) = event {
                    #expect(range.count == result.lossBits.count * 2 * 4)
                    computed += result.node.level == 1 ? [0, 1] : [UInt32(result.node.index)]
                }
                if case .lacksCarry(let shard, 3) = event { return (computed, shard) }
                return computed.count == 2 ? (computed, nil) : nil
            }
        }
        lease(carried: [0], compute)
        let without = try outcome()
        #expect(without.computed.isEmpty && without.lacking == 1)
        lease(carried: [0, 1], compute)
        let with = try outcome()
        #expect(with.computed == [0, 1] && with.lacking == nil)
    }

    /// Where the next gradient lies, of which nothing is kept.
    private func place(_ inbox: Inbox<WorkerCompute.Event>) throws -> SharedPlace? {
        var place: SharedPlace?
        return try first(inbox) { event -> SharedPlace?? in
            if case .gradients(_, _, let nodes, _) = event { place = nodes[0].gradient.place }
            if case .result = event { return .some(place) }
            return nil
        }
    }

    @Test("Where a gradient lies nothing else is written before its step is committed, also where nobody holds it")
    func openStep() throws {
        let (compute, inbox) = try start()
        defer { compute.post(.stop) }
        compute.post(.install(step: 3, .none, sharesGradients: true))
        func gradient(of step: UInt64) throws -> SharedPlace {
            lease(carried: [0, 1], step: step, compute)
            return try #require(try place(inbox))
        }
        // As where a session ends while a lease still waits: what it sent may not have been summed up yet.
        let places = try [gradient(of: 3), gradient(of: 3)]
        #expect(places[0] != places[1])
        let commit = Commit(
            step: 3, learningRateBits: 0, clipCoefficientBits: 0, biasCorrection1Bits: 0, biasCorrection2Bits: 0,
            record: StepFacts(lossBits: 0, gradientNormBits: 0, nanoseconds: 0, workers: 1))
        compute.post(.apply(commit, average: FloatBuffer(count: configuration.layout.count)))
        #expect(try places.contains(gradient(of: 4)))
    }

    @Test("Gradients of a session that shares lie where others find them, and no later session writes there")
    func sharedGradients() throws {
        let (compute, inbox) = try start()
        defer { compute.post(.stop) }
        func place(sharing: Bool) throws -> SharedPlace? {
            compute.post(.install(step: 3, .none, sharesGradients: sharing))
            lease(carried: [0, 1], compute)
            return try self.place(inbox)
        }
        let places = try [place(sharing: true), place(sharing: true)]
        #expect(places[0] != nil && places[1] != nil && places[0] != places[1])
        #expect(try place(sharing: false) == nil)
    }
}

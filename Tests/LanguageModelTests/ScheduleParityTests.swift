import LanguageModel
import Testing

@Suite("Parity of learning-rate schedules with PyTorch, char-rnn and nanoGPT")
struct ScheduleParityTests {
    /// Those of the file that are checked. Of the others, MultiStepLR and ReduceLROnPlateau are not among the schedules
    /// that Lockstep offers: the second follows the validation loss and is no function of the step.
    static let kinds = ["StepLR", "ExponentialLR", "CosineAnnealingLR", "LinearLR", "char-rnn", "nanoGPT"]
    static let notOffered = ["MultiStepLR", "ReduceLROnPlateau", "what", "base_lr"]

    @Test("Every rate agrees", arguments: Fixtures.names("schedules"))
    func rates(name: String) throws {
        let file = try Fixtures.json(name)
        let base = try file["base_lr"].double
        for key in file.keys {
            let kind = String(key.prefix { $0 != "(" })
            guard Self.kinds.contains(kind) else {
                #expect(Self.notOffered.contains(kind), "\(key) is not known")
                continue
            }
            let (schedule, total) = try schedule(kind, key)
            let wanted = try file[key].doubles
            let rates = wanted.indices.map {
                schedule.learningRate(base: base, step: UInt64($0), stepsPerEpoch: 1, totalSteps: total)
            }
            expectClose(rates, wanted, 1e-15, key)
        }
    }

    /// Reads a name such as `StepLR(step_size=4,gamma=0.5)`.
    private func schedule(_ kind: String, _ key: String) throws -> (LearningRateSchedule, totalSteps: UInt64) {
        func value(_ name: String) throws -> Double {
            let words = key.split { "(),; =".contains($0) }
            let index = try #require(words.firstIndex { $0 == name }, "\(key) has no \(name)")
            return try #require(words.indices.contains(index + 1) ? Double(words[index + 1]) : nil, "\(key)")
        }
        func count(_ name: String) throws -> UInt64 { UInt64(try value(name)) }
        switch kind {
        case "StepLR": return (LearningRateSchedule(.step(size: try count("step_size"), gamma: try value("gamma"))), 0)
        case "ExponentialLR": return (LearningRateSchedule(.exponential(gamma: try value("gamma"), after: 0)), 0)
        case "CosineAnnealingLR":
            return (LearningRateSchedule(.cosine(period: try count("T_max"), minimum: try value("eta_min"))), 0)
        case "LinearLR":
            #expect(try value("end_factor") == 1)
            let warmup = try count("total_iters")
            return (LearningRateSchedule(warmup: warmup, warmupStart: try value("start_factor")), 0)
        case "char-rnn":
            let decay = LearningRateSchedule.Kind.exponential(gamma: try value("decay"), after: try count("epoch"))
            return (LearningRateSchedule(decay, unit: .epoch), 0)
        default:
            let cosine = LearningRateSchedule.Kind.cosine(period: nil, minimum: try value("min_lr"))
            return (LearningRateSchedule(cosine, warmup: try count("warmup")), try count("decay_iters"))
        }
    }
}

import Coordination
import Testing

@testable import Dashboard

@Suite("/metrics")
struct PrometheusTextTests {
    private func snapshot(_ names: [String]) -> RunSnapshot {
        var snapshot = RunSnapshot(
            name: "an\"na", run: "1", software: "1", folder: "runs/anna", state: .training, time: 2, started: 1,
            progress: .init(step: 7, totalSteps: 100, epoch: 1, totalEpochs: 3))
        snapshot.progress.loss = 1.25
        snapshot.members = names.map {
            RunSnapshot.Member(
                id: $0, name: $0, host: "h", process: 1, threads: 2, state: .idle, shards: [0, 1], reportedShards: 0,
                silence: 0.5)
        }
        snapshot.memberCount = names.count
        return snapshot
    }

    @Test("Every series has one HELP and TYPE before it, and comes once")
    func format() {
        var counters = RunCounters()
        counters.committed(seconds: 0.2, characters: 12_800)
        let text = PrometheusText(snapshot(["w1", "w2", "w1"]), counters).text
        var families: Set<String> = []
        var series: Set<Substring> = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE") {
                #expect(families.insert(String(words[2])).inserted, "\(line)")
            } else if !line.hasPrefix("#") {
                let key = line[..<line.lastIndex(of: " ")!]
                #expect(series.insert(key).inserted, "\(line)")
                let name = key.prefix { $0 != "{" }
                let family = ["_bucket", "_sum", "_count"].reduce(String(name)) { name, end in
                    name.hasSuffix(end) && families.contains(String(name.dropLast(end.count)))
                        ? String(name.dropLast(end.count)) : name
                }
                #expect(families.contains(family), "\(line)")
                #expect(Double(words.last!) != nil, "\(line)")
            }
        }
        #expect(text.contains("lockstep_loss_nats 1.25\n"))
        #expect(text.contains(#"lockstep_run_info{name="an\"na","#))
    }

    @Test("A histogram counts up to the number of what was measured")
    func histogram() {
        var counters = RunCounters()
        for seconds in [0.0001, 0.2, 0.3, 1000] { counters.committed(seconds: seconds, characters: 1) }
        let text = PrometheusText(snapshot([]), counters).text
        #expect(text.contains("lockstep_step_seconds_bucket{le=\"0.001\"} 1.0\n"))
        #expect(text.contains("lockstep_step_seconds_bucket{le=\"0.25\"} 2.0\n"))
        #expect(text.contains("lockstep_step_seconds_bucket{le=\"60.0\"} 3.0\n"))
        #expect(text.contains("lockstep_step_seconds_bucket{le=\"+Inf\"} 4.0\n"))
        #expect(text.contains("lockstep_step_seconds_count 4.0\n"))
    }

    @Test("What a worker calls itself cannot break out of its label")
    func escaping() {
        let text = PrometheusText(snapshot(["a\"} 1\nlockstep_step 99\\"]), RunCounters()).text
        #expect(text.contains(#"worker="a\"} 1\nlockstep_step 99\\""#))
        #expect(!text.contains("\nlockstep_step 99"))
    }
}

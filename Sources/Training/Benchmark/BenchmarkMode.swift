/// What `lockstep bench` times: whole steps, the forward pass alone, or text as it is generated.
package enum BenchmarkMode: String, CaseIterable, Sendable {
    case train, evaluate, sample
}

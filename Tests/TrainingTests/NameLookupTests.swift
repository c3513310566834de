import Dispatch
import Synchronization
import Testing

@testable import Training

@Suite("Looking names up") struct NameLookupTests {
    @Test("Who waits may go, and gets the answer of the same look-up later; then a new one begins")
    func waiting() {
        let gate = DispatchSemaphore(value: 0)
        let count = Atomic<Int>(0)
        let lookup = NameLookup {
            gate.wait()
            return count.add(1, ordering: .relaxed).newValue
        }
        #expect(lookup.answer(within: 0.02, isInterrupted: { false }) == nil)
        #expect(lookup.answer(within: 1000, isInterrupted: { true }) == nil)
        gate.signal()
        #expect(lookup.answer(within: 1000, isInterrupted: { false }) == 1)
        gate.signal()
        #expect(lookup.answer(within: 1000, isInterrupted: { false }) == 2)
    }
}

/// Times of a clock in nanoseconds. Some are the word of a peer, and a clock may have stood still: no trap for either.
extension UInt64 {
    /// Nanoseconds from `moment` to this one; 0 where `moment` is the later one.
    package func since(_ moment: UInt64) -> UInt64 { self - Swift.min(self, moment) }

    /// `count` times as long, at most an eighth of what there are numbers for: some of them may be added.
    func times(_ count: Int) -> UInt64 {
        let (product, overflows) = multipliedReportingOverflow(by: UInt64(count))
        return overflows ? UInt64.max / 8 : Swift.min(product, UInt64.max / 8)
    }
}

import Foundation

/// Losses are computed in nats, and shown in bits too.
package func bits(ofNats nats: Double) -> Double { nats / 0.6931471805599453 }

/// As people are shown losses.
package func fourDecimals(_ value: Double) -> String { String(format: "%.4f", value) }

/// A setting, file or state of the machine that cannot be worked with: a command ends with code 1. The message says
/// which and what to do.
package struct ConfigurationError: Error, CustomStringConvertible, Equatable {
    package let description: String
    package init(_ description: String) { self.description = description }
}

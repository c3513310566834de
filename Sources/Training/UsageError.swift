/// Flags that are wrong by themselves or contradict each other, whatever the files and the machine: a command ends with
/// code 64. The message says which and what to do.
package struct UsageError: Error, CustomStringConvertible, Equatable {
    package let description: String
    package init(_ description: String) { self.description = description }
}

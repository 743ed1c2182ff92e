public import Foundation
import Glibc

extension FileHandle {
    /// Everything up to the end. `readDataToEndOfFile` traps when a signal (a child's end) interrupts the read.
    public func readAll() -> Data {
        var data = Data()
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.read(fileDescriptor, $0.baseAddress, $0.count)
            }
            if count > 0 {
                data.append(contentsOf: chunk[..<count])
            } else if count == 0 || errno != EINTR {
                return data
            }
        }
    }
}

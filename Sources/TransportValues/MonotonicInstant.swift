/// A point on a monotonic time scale, in nanoseconds since an arbitrary start.
///
/// The scale is the caller's: the kernel's `CLOCK_MONOTONIC` or a simulator's virtual clock. The stack itself never
/// reads a clock.
@frozen
public struct MonotonicInstant: Hashable, Comparable, Sendable, BitwiseCopyable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Later than every instant in use: a timer that is not set.
    @inlinable
    public static var distantFuture: Self { Self(nanoseconds: .max) }

    @inlinable
    public static var zero: Self { Self(nanoseconds: 0) }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Saturates at ``distantFuture``, so that arithmetic on an unset timer leaves it unset.
    @inlinable
    public static func + (left: Self, right: TimeSpan) -> Self {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return Self(nanoseconds: overflow ? (right.nanoseconds > 0 ? .max : .min) : sum)
    }

    @inlinable
    public static func - (left: Self, right: TimeSpan) -> Self {
        let (difference, overflow) = left.nanoseconds.subtractingReportingOverflow(right.nanoseconds)
        return Self(nanoseconds: overflow ? (right.nanoseconds > 0 ? .min : .max) : difference)
    }

    @inlinable
    public static func - (left: Self, right: Self) -> TimeSpan {
        let (difference, overflow) = left.nanoseconds.subtractingReportingOverflow(right.nanoseconds)
        return TimeSpan(nanoseconds: overflow ? (left > right ? .max : .min) : difference)
    }
}

/// A length of time in nanoseconds; may be negative. Arithmetic saturates and never traps.
@frozen
public struct TimeSpan: Hashable, Comparable, Sendable, BitwiseCopyable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    @inlinable
    public static var zero: Self { Self(nanoseconds: 0) }

    @inlinable
    public static func nanoseconds(_ count: Int64) -> Self { Self(nanoseconds: count) }

    @inlinable
    public static func microseconds(_ count: Int64) -> Self {
        Self(nanoseconds: count.multipliedSaturating(by: 1_000))
    }

    @inlinable
    public static func milliseconds(_ count: Int64) -> Self {
        Self(nanoseconds: count.multipliedSaturating(by: 1_000_000))
    }

    @inlinable
    public static func seconds(_ count: Int64) -> Self {
        Self(nanoseconds: count.multipliedSaturating(by: 1_000_000_000))
    }

    /// From a number of seconds; what does not fit becomes the nearest value that does, and NaN becomes zero.
    @inlinable
    public init(seconds count: Double) {
        let value = count * 1e9
        self.init(nanoseconds: value.isNaN ? 0 : value >= 9.2e18 ? .max : value <= -9.2e18 ? .min : Int64(value))
    }

    @inlinable
    public var seconds: Double { Double(nanoseconds) / 1e9 }

    @inlinable
    public var milliseconds: Double { Double(nanoseconds) / 1e6 }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    @inlinable
    public static func + (left: Self, right: Self) -> Self {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
        return Self(nanoseconds: overflow ? (right.nanoseconds > 0 ? .max : .min) : sum)
    }

    @inlinable
    public static func - (left: Self, right: Self) -> Self {
        let (difference, overflow) = left.nanoseconds.subtractingReportingOverflow(right.nanoseconds)
        return Self(nanoseconds: overflow ? (right.nanoseconds > 0 ? .min : .max) : difference)
    }

    @inlinable
    public static func * (left: Self, right: Int64) -> Self {
        Self(nanoseconds: left.nanoseconds.multipliedSaturating(by: right))
    }

    /// - Precondition: `right` is not zero.
    @inlinable
    public static func / (left: Self, right: Int64) -> Self { Self(nanoseconds: left.nanoseconds / right) }
}

extension Int64 {
    @inlinable
    func multipliedSaturating(by factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? ((self < 0) == (factor < 0) ? .max : .min) : product
    }
}

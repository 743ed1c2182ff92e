public import TransportValues

/// ADD_ADDR (RFC 8684 §3.4.1, RFC 6824 §3.4.1).
@frozen
public struct AddAddress: BitwiseCopyable, Sendable, Hashable {
    /// Which version's format the option has; the lengths of the two never overlap.
    public var form: MultipathVersion
    /// Version 1: the receiver's confirmation, which has no HMAC.
    public var isEcho: Bool
    public var addressID: AddressID
    public var address: IPAddress
    public var port: UInt16?
    /// The rightmost 64 bits of HMAC-SHA256: in version 1 unless it is an echo.
    public var hmac: UInt64?

    /// The advertisement of version 1.
    @inlinable
    public init(addressID: AddressID, address: IPAddress, port: UInt16? = nil, hmac: UInt64) {
        self.init(form: .one, isEcho: false, addressID: addressID, address: address, port: port, hmac: hmac)
    }

    /// The echo of version 1.
    @inlinable
    public init(echoOf addressID: AddressID, address: IPAddress, port: UInt16? = nil) {
        self.init(form: .one, isEcho: true, addressID: addressID, address: address, port: port, hmac: nil)
    }

    /// The advertisement of version 0.
    @inlinable
    public init(version0 addressID: AddressID, address: IPAddress, port: UInt16? = nil) {
        self.init(form: .zero, isEcho: false, addressID: addressID, address: address, port: port, hmac: nil)
    }

    @inlinable
    init(
        form: MultipathVersion, isEcho: Bool, addressID: AddressID, address: IPAddress, port: UInt16?, hmac: UInt64?
    ) {
        self.form = form
        self.isEcho = isEcho
        self.addressID = addressID
        self.address = address
        self.port = port
        self.hmac = hmac
    }
}

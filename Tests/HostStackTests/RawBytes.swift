extension [UInt8] {
    var rawBytes: RawSpan {
        @_lifetime(borrow self) get { unsafe span.bytes }
    }
}

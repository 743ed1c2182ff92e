public import TransportPolicies
public import TransportValues
public import WireFormats
public struct SubflowConfiguration: Sendable {
  public var maximumSegmentSize: Int; public var windowScale: UInt8 = 7; public var congestion = CongestionAlgorithm.cubic
  public var maximumBurst = 1; public var synRetries = 6; public var userTimeout: TimeSpan? = nil; public var keepaliveIdle: TimeSpan? = nil
  public var timeWait = TimeSpan(nanoseconds: 60); public var initialReceiveWindow = 65535
  public init(maximumSegmentSize: Int) { self.maximumSegmentSize = maximumSegmentSize }
}
public struct SentMapping: BitwiseCopyable, Sendable { public var dataOffset: Int64; public var subflowOffset: Int64; public var length: Int32
  public var checksum: UInt16 = 0; public var hasChecksum = false; public var dataFin = false
  public init(dataOffset: Int64, subflowOffset: Int64, length: Int32, dataFin: Bool = false) { self.dataOffset = dataOffset; self.subflowOffset = subflowOffset; self.length = length; self.dataFin = dataFin } }
public enum SubflowPhase: Sendable { case synSent, synReceived, established, finWait1, finWait2, closeWait, closing, lastAck, timeWait, closed }
public enum SubflowDrop: Sendable { case outsideWindow, paws, badAcknowledgment, rstOutsideWindow, challenge, synInWindow, other }
public enum SubflowChange: Sendable { case none, established, peerFinished, refused, reset, closed }
public enum SubflowFailure: Sendable { case timedOut }
public struct SegmentOutcome: Sendable { public enum Verdict: Sendable { case accepted; case dropped(SubflowDrop) }
  public var verdict: Verdict; public var change: SubflowChange; public var newlyAcknowledged: Int64; public var payload: Range<Int64>?; public var payloadSkip: Int; public var window: Int }
public struct TimeoutOutcome { public var retransmissionTimedOut: Bool; public var failure: SubflowFailure? }
public struct SubflowStatistics { public var bytesSent, bytesReceived, segmentsRetransmitted: UInt64 }
public struct Subflow: ~Copyable {
  public struct RetransmissionRange: BitwiseCopyable, Sendable { public var subflowOffset: Int64; public var length: Int; public var mapping: SentMapping; public var dataOffset: Int64; public var fin: Bool }
  public enum SendOpportunity { case nothing, reset, synchronize, retransmit(RetransmissionRange), fin, probe, acknowledge }
  public enum Emission { case synchronize, acknowledge, probe, fin, reset; case data(SentMapping, length: Int, push: Bool, fin: Bool); case retransmit(RetransmissionRange) }
  public init(activeOpen: SubflowConfiguration, initialSequence: SequenceNumber, timestampOffset: UInt32, now: MonotonicInstant) { fatalError() }
  public init(passiveOpen: SubflowConfiguration, initialSequence: SequenceNumber, timestampOffset: UInt32, syn: TCPSegment, now: MonotonicInstant) { fatalError() }
  public var phase: SubflowPhase { fatalError() }
  public var isSynchronized: Bool { fatalError() }
  public var canSendData: Bool { fatalError() }
  public mutating func receive(_ s: TCPSegment, now: MonotonicInstant) -> SegmentOutcome { fatalError() }
  public mutating func store(_ range: Range<Int64>, now: MonotonicInstant) -> Bool { fatalError() }
  public var receiveNext: Int64 { fatalError() }
  public mutating func requestAcknowledgement() {}
  public mutating func advance(to now: MonotonicInstant) -> TimeoutOutcome { fatalError() }
  public var nextDeadline: MonotonicInstant { fatalError() }
  public mutating func pathMTUChanged(_ p: Int, embeddedSequence: SequenceNumber, now: MonotonicInstant) -> Bool { fatalError() }
  public borrowing func opportunity(now: MonotonicInstant) -> SendOpportunity { fatalError() }
  public borrowing func sendRoom(now: MonotonicInstant) -> Int { fatalError() }
  public borrowing func optionRoom(for e: Emission) -> Int { fatalError() }
  public borrowing func segmentPayloadLimit(multipathOptionBytes: Int) -> Int { fatalError() }
  public mutating func emit(_ e: Emission, tuple: FourTuple, multipath: OptionBlock, window: Int, into packet: inout MutableRawSpan, at offset: Int, now: MonotonicInstant) -> Int { fatalError() }
  public mutating func close() {}
  public mutating func abort() {}
  public mutating func abandon() {}
  public mutating func setDataWaiting(_ w: Bool, now: MonotonicInstant) {}
  public var sendNext: Int64 { fatalError() }
  public var sendUnacknowledged: Int64 { fatalError() }
  public var inFlight: Int { fatalError() }
  public borrowing func forEachUnacknowledged(_ body: (Int64, Int) -> Void) {}
  public var lowestUnacknowledgedDataOffset: Int64? { fatalError() }
  public var consecutiveTimeouts: Int { fatalError() }
  public var roundTrip: RoundTripEstimator { fatalError() }
  public var congestionWindow: Int { fatalError() }
  public var maximumSegmentSize: Int { fatalError() }
  public var maximumBurst: Int { fatalError() }
  public var peerWindowEdge: Int64 { fatalError() }
  public var statistics: SubflowStatistics { fatalError() }
}

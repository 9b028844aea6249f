package postdate

import "regexp"

// streamPattern is what the operator may call a stream.
var streamPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidateStreamName reports whether name can be a stream's. Whether there is one of that
// name is not known here.
func ValidateStreamName(pointer, name string) error {
	if !streamPattern.MatchString(name) {
		return Errorf(Invalid, pointer, "a stream's name has 1 to 64 of a-z 0-9 . _ - and begins with a letter or a digit")
	}
	return nil
}

// StreamKind is the kind of broker that a stream belongs to.
type StreamKind string

// The kinds of streams.
const (
	Kafka    StreamKind = "kafka"
	NATS     StreamKind = "nats"
	RabbitMQ StreamKind = "rabbitmq"
)

// StreamState is whether a stream can be sent to, as a process saw it last.
type StreamState string

// The states of a stream.
const (
	StreamUnknown     StreamState = "unknown"     // it was not asked yet
	StreamReady       StreamState = "ready"       // the broker has it
	StreamUnreachable StreamState = "unreachable" // the broker does not answer, or does not have it
)

// ConsumptionState is how it goes with a stream from which messages come, as a process saw
// it last.
type ConsumptionState string

// The states of a stream that is consumed.
const (
	ConsumptionUnknown     ConsumptionState = "unknown"     // it is not consumed here, or was not reached yet
	ConsumptionReading     ConsumptionState = "reading"     // what comes is taken
	ConsumptionSlowed      ConsumptionState = "slowed"      // records wait: for a quota, the backlog, Temporal or the dead letters
	ConsumptionStopped     ConsumptionState = "stopped"     // a record cannot be taken, and holds up those behind it
	ConsumptionUnreachable ConsumptionState = "unreachable" // the broker does not answer, or does not have it
)

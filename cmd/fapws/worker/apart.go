package worker

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"

	"fapws/pybridge"
	"fapws/runtime/exchange"
	"fapws/runtime/remote"
)

// What a sleeper and the process of its application tell each other.

// Messages of the application.
const (
	tellEvents  remote.Message = iota + 1 // published: appendEvent
	tellPurge                             // the argument of fapws.cache.purge, in JSON
	tellWarning                           // a line for the error log
	tellJoin                              // a WebSocket joins a group: memberText
	tellLeave                             // the reverse
	tellWatches                           // the application wants to know of subscribers
	tellStuck                             // a handler does not end; the reason
	tellExit                              // a signal handler of the script has called sys.exit; one byte, the status
	tellCounted                           // metrics.Family of the process, which ends, in JSON
)

// Messages of the server.
const (
	tellDealt     remote.Message = iota + 100 // pybridge.Handler.Dealt: numberText
	tellCount                                 // pybridge.CountSubscribers: countText
	tellPresence                              // a pybridge.PresenceEvent in JSON
	tellForPython                             // pybridge.Handler.TakeMessage: appendEvent
	tellMeasure                               // count requests from now on
	tellStderr                                // another standard error comes along
)

// question is a question of the server, in JSON.
type question struct {
	What string
	For  time.Duration // how long it may take
}

// The questions.
const (
	askMetrics  = "metrics"  // []metrics.Family in JSON
	askActive   = "active"   // []pybridge.ActiveRequest in JSON
	askStack    = "stack"    // a text
	askProfile  = "profile"  // profiled in JSON
	askNotified = "notified" // nothing, when on_join and on_leave have been called
)

// profiled is the answer to askProfile.
type profiled struct {
	Stacks []pybridge.ProfileStack
	Why    string // there are none
}

// applicationSettings are those that a process gets from its server, in JSON.
type applicationSettings struct {
	ErrorLogs []string // paths of those of hosts, by number from 1 on
	Served    []string // directories that the server serves
}

func numberText(n int64) []byte { return binary.AppendVarint(nil, n) }

func readNumber(data []byte) int64 {
	n, _ := binary.Varint(data)
	return n
}

func countText(name string, elsewhere bool, n int64) []byte {
	return append(binary.AppendVarint([]byte{byte(index(elsewhere))}, n), name...)
}

func readCount(data []byte) (name string, elsewhere bool, n int64) {
	if len(data) == 0 {
		return "", false, 0
	}
	n, size := binary.Varint(data[1:])
	return string(data[1+max(size, 0):]), data[0] == 1, n
}

func memberText(t exchange.Ticket, group string) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(t)), group...)
}

func readMember(data []byte) (t exchange.Ticket, group string) {
	if len(data) < 4 {
		return 0, ""
	}
	return exchange.Ticket(binary.NativeEndian.Uint32(data)), string(data[4:])
}

// duplicateStderr returns another descriptor of standard error, which no child inherits.
func duplicateStderr() (int, error) { return unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 0) }

package pool

import (
	"strings"
	"testing"
	"time"
)

// awayBroker is a Broker that does not answer.
type awayBroker struct{}

func (awayBroker) Epoch() string                     { return "epoch" }
func (awayBroker) Start(string, func(b Batch)) error { return nil }
func (awayBroker) Publish(Batch)                     {}
func (awayBroker) Congested() bool                   { return false }
func (awayBroker) Away() bool                        { return true }
func (awayBroker) Idle() bool                        { return true }
func (awayBroker) History() ([]Batch, error)         { return nil, nil }
func (awayBroker) Close(time.Duration)               {}

// A worker whose events wait for the broker is told, so that its responses need not wait, too.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	h := start(t, "", func(o *Options) { o.Workers, o.Broker = 1, awayBroker{} })
	h.serving(1)
	h.tell("publish 3")
	eventually(t, "the worker knows", func() bool { return strings.HasSuffix(h.tell("heard")[0], "waits-3 ") })
}

package pool

import (
	"testing"
	"time"

	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/checktest"
)

func TestWorkerIsNotifiedOfDroppedEvents(t *testing.T) {
	s := redistest.Start(t)
	n := connect(t, s)
	s.Kill()
	n.says(t, " is away ")
	for n.Publish(Batch{N: 1, Raw: make([]byte, 1<<20)}) {
	}
	p, publisher, _ := suspects(t, ended(t))
	defer discard(p)
	p.o.Broker = n.Broker
	p.heard(publisher, &Message{Kind: Publish, N: 1, Raw: []byte("xxxx"), ID: 3})
	m, err := decode(inbox(publisher)[0].text)
	checktest.Truef(t, err == nil && m.Kind == Events && m.Text == Dropped && m.ID == 3, "%+v, %v", m, err)
	s.Restart() // so that Close, which the cleanup calls, does not wait for the broker
}

func TestEventsOfOtherServersDoNotDelayTheShutdown(t *testing.T) {
	s := redistest.Start(t)
	other := connect(t, s)
	p := New(Options{Broker: dial(t, s).Broker})
	p.relay.startBroker()
	for range 20 * mostTogether {
		other.Publish(Batch{N: 1, Raw: []byte("late")})
	}
	<-p.events
	close(p.over)
	p.o.Broker.Close(time.Minute)
}

func TestBrokerIsReadNoFasterThanWorkersAcceptEvents(t *testing.T) {
	s := redistest.Start(t)
	p := New(Options{Broker: dial(t, s).Broker})
	p.relay.congested.Store(1)
	p.relay.startBroker()
	defer p.o.Broker.Close(0)
	defer close(p.over)
	other := connect(t, s)
	other.Publish(Batch{N: 1, Raw: []byte("early")})
	other.gets(t, "early")
	for end := time.Now().Add(checkEvery / 5); time.Now().Before(end); time.Sleep(time.Millisecond) {
		select {
		case <-p.events:
			t.Fatal("it came although a worker is congested")
		default:
		}
	}
	p.relay.congested.Store(0)
	<-p.events
}

// An upgrade keeps the event numbers only if the broker stays the same.
func TestEventNumbersContinueAfterAnUpgrade(t *testing.T) {
	var none *Handover
	h := &Handover{BrokerURL: "redis://a", Epoch: "e", Seq: 7}
	for url, want := range map[string]uint64{"redis://a": 7, "redis://b": 0} {
		epoch, last := h.Broker(url)
		checktest.Truef(t, last == want && (epoch != "") == (want != 0), "%s: %s, %d", url, epoch, last)
		epoch, _ = none.Broker(url)
		checktest.Equalf(t, epoch, "", "without a program before")
	}
}

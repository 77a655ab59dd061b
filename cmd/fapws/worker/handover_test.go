package worker

import (
	"os"
	"testing"
	"time"

	"fapws/cmd/fapws/pool"
	"fapws/runtime"
	"fapws/runtime/runtimetest"
)

// slowGiver gives pieces of history, each after a while.
type slowGiver struct {
	t      *testing.T
	pieces [][]byte
	limit  time.Duration // that it expects for each
	err    error         // at the end
}

func (g *slowGiver) ReceiveWithin(limit time.Duration) (*pool.Message, []*os.File, error) {
	if limit != g.limit {
		g.t.Errorf("a piece may take %v, want %v: pieces before count", limit, g.limit)
	}
	time.Sleep(time.Millisecond)
	if len(g.pieces) == 0 {
		return &pool.Message{}, nil, g.err
	}
	m := &pool.Message{Raw: g.pieces[0]}
	g.pieces = g.pieces[1:]
	return m, nil, nil
}

// TestTakeForgedHistory: a worker that has been taken over can neither invent events to come nor go on without end.
func TestTakeForgedHistory(t *testing.T) {
	to := newServer(t)
	g := &slowGiver{t: t, limit: time.Minute, pieces: [][]byte{[]byte(`{"Seq":18446744073709551615,"Name":"news","Text":"data: x\n\n"}` + "\n")}}
	if err := takeHistory(to, g.ReceiveWithin, 3, time.Minute); err != nil {
		t.Fatal(err)
	}
	for piece := range to.Subscribers().ExportHistory() {
		t.Errorf("it has %s", piece)
	}
	endless := &slowGiver{t: t, pieces: [][]byte{{'{'}, {'{'}}}
	if err := takeHistory(to, endless.ReceiveWithin, 3, 0); err != os.ErrDeadlineExceeded || len(endless.pieces) != 1 {
		t.Errorf("%v, %d pieces left", err, len(endless.pieces))
	}
}

func newServer(t *testing.T) *runtime.Server {
	t.Helper()
	s, err := runtime.New(runtimetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

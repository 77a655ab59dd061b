package live_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

// Workers with the old code send 1012 only when they no longer accept connections, so a client that reconnects at once
// gets the new code.
func TestASGIReloadClosesWebSocketsWith1012AfterNewWorkersAccept(t *testing.T) {
	t.Parallel()
	script := fapwstest.Copied(t, "version.py")
	s := fapwstest.Command{Script: script + ":application"}.Serve(t, fapwstest.Workers)
	const clients, reloads = 24, 2
	open := func(want int) (*wstest.Client, error) {
		c, err := wstest.Dial(s.Address, "/")
		if err != nil {
			return nil, err
		}
		c.Conn.SetDeadline(time.Now().Add(fapwstest.Patience))
		if _, version, err := c.Receive(); err != nil || string(version) != fmt.Sprint(want) {
			c.Conn.Close()
			return nil, fmt.Errorf("version %q, want %d, %v", version, want, err)
		}
		return c, nil
	}
	all := make([]*wstest.Client, clients)
	for i := range all {
		c, err := open(1)
		fapwstest.Must(t, err)
		all[i] = c
		defer func() { all[i].Conn.Close() }()
	}
	for version := 2; version < 2+reloads && !t.Failed(); version++ {
		fapwstest.Change(t, script, fmt.Sprintf("VERSION = %d", version-1), fmt.Sprintf("VERSION = %d", version))
		var again sync.WaitGroup
		for i := range all {
			again.Go(func() {
				if _, _, err := all[i].Receive(); !replaced(err) {
					t.Errorf("a WebSocket ended with %v", err)
					return
				}
				c, err := open(version)
				if err != nil {
					t.Error(err)
					return
				}
				all[i].Conn.Close()
				all[i] = c
			})
		}
		s.Control("reload")
		again.Wait()
	}
}

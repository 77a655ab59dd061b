package fapwstest

import (
	"sync"
	"testing"

	"fapws/runtime/websocket/wstest"
)

// WebSocketCases runs the cases of the Autobahn test suite, by their numbers, with a server that echoes.
func WebSocketCases(t *testing.T, address, path string) {
	t.Helper()
	var all sync.WaitGroup
	at := make(chan struct{}, 20)
	try := func(id string, run func() error) {
		at <- struct{}{}
		all.Go(func() {
			if err := run(); err != nil {
				t.Errorf("%s, %s: %v", path, id, err)
			}
			<-at
		})
	}
	for _, tc := range wstest.Cases() {
		try(tc.ID, func() error { return tc.Run(address, path) })
	}
	for _, offer := range wstest.Offers {
		try(offer, func() error { return wstest.Compression(address, path, offer) })
	}
	all.Wait()
}

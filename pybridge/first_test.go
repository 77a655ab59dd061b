package pybridge

import (
	"testing"
	"time"
)

// TestFirstThreadIsMain: an idle server runs handlers on the main thread. On a busy
// machine that may come so late to its first request that another thread was
// started for it, and any thread that has just been busy may look for work once
// more before it sleeps.
func TestFirstThreadIsMain(t *testing.T) {
	for end := time.Now().Add(generous); loop.get(t, "/is_main").body.String() != "True"; {
		if time.Now().After(end) {
			t.Fatal("an idle server runs a handler off the main thread")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

package pybridge

import "testing"

// TestFirstThreadIsMain must be the first test: later ones have started other
// threads, which may still be about to look for work.
func TestFirstThreadIsMain(t *testing.T) {
	if got := loop.get(t, "/is_main").body.String(); got != "True" {
		t.Error("an idle server runs a handler off the main thread")
	}
}

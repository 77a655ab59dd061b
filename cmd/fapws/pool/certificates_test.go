package pool

import (
	"testing"
)

// TestSharedFile: others can read it again and again, and not change it.
func TestSharedFile(t *testing.T) {
	f, err := SharedFile("x", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if text, err := ReadShared(f); err != nil || string(text) != "secret" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("it can be written to")
	}
	if f.Truncate(0) == nil {
		t.Error("it can be cut off")
	}
}

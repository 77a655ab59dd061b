package backend

import (
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/system"
)

// The files in /dev/shm may use a quarter of the memory, of which responses get a quarter.
func TestStoredResponsesUseAQuarterOfTheSpaceForTemporaryFiles(t *testing.T) {
	t.Setenv("TMPDIR", "/dev/shm")
	system.SetMemory(64 << 20)
	defer system.SetMemory(0)
	s := new(Space)
	for _, c := range []struct {
		more int64
		want bool
	}{{3 << 20, true}, {1 << 20, true}, {1, false}} {
		checktest.Equalf(t, s.Take(c.more), c.want, "%d bytes more than %d", c.more, s.used)
	}
}

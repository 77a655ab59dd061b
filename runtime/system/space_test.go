package system

import (
	"testing"

	"fapws/runtime/checktest"
)

// A temporary file in /dev/shm needs memory, whatever the file system reports as free.
func TestTemporaryFilesInMemoryUseAQuarterOfIt(t *testing.T) {
	defer SetMemory(memory.Load())
	SetMemory(4 << 20)
	checktest.Equal(t, SpoolSpace("/dev/shm", 0), 1<<20)
	disk := SpoolSpace(".", 0)
	checktest.Truef(t, disk > 4<<20, "%d bytes on a disk", disk)
	SetMemory(0)
	checktest.Equal(t, SpoolSpace("/dev/shm", 1<<40) > 1<<40, true)
}

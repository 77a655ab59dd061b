package memory

import (
	"os"
	"runtime/debug"
)

// gcPercent keeps the heap of the Go side, which is below 1 MB and hardly
// grows per request, from being let to 4 MB before it is collected. GOGC in
// the environment wins.
const gcPercent = 25

// UseLittle sets the garbage collector for small machines.
func UseLittle() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

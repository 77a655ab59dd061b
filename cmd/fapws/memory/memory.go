package memory

import "os"

// UseLittle sets the garbage collector for small machines, once. GOGC in the environment wins. It is for processes that have started:
// before, all that is on the heap stays, so collecting it would only take time.
func UseLittle() {
	if os.Getenv("GOGC") == "" {
		(&pacer{set: setPercent}).follow()
	}
}

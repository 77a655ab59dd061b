package memory

import "os"

// UseLittle sets the garbage collector for small machines. GOGC in the environment wins.
func UseLittle() {
	if os.Getenv("GOGC") == "" {
		(&pacer{set: setPercent}).follow()
	}
}

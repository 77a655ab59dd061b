package exit

import (
	"os"
	"time"
)

// closingTime is how long Python may run the script's atexit functions and wait for
// its threads after serving has ended. python3 waits without a limit; a supervisor
// does not.
const closingTime = 5 * time.Second

// AfterClosingTime ends the process with code, after a warning, when Python takes
// too long to end. Stop the timer if the process goes on after Python has ended.
func AfterClosingTime(code int, warn func(string)) *time.Timer {
	return time.AfterFunc(closingTime, func() {
		warn("threads or atexit functions of the script did not end; exiting without them")
		os.Exit(code)
	})
}

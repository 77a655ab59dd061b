//go:build asan

package pybridge

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	python3 "github.com/go-python/cpy3"
)

// TestCallAgainstTheRulesAborts checks CORE_CHECK, a check in builds with a sanitizer. Each case starts a process that
// calls a C function in a forbidden way and must abort.
func TestCallAgainstTheRulesAborts(t *testing.T) {
	for _, one := range []struct {
		name, mode string
		f          func()
		want       string
	}{
		{"with the GIL", "", func() { python3.PyGILState_Ensure(); loop.h.Metrics() },
			"core_read_waits expects CORE_NO_GIL"},
		{"not on the main thread", "", func() { loop.app.Close() }, "core_take_gil expects CORE_NO_GIL | CORE_ON_MAIN"},
		{"not on the loop", "inline", func() { loop.h.Signalled() },
			"core_signalled expects CORE_NO_GIL | CORE_ON_LOOP"},
		{"too late", "", func() { start(Options{Apps: applications}) }, "core_set_look expects CORE_BEFORE"},
	} {
		switch os.Getenv("FAPWS_TEST_VIOLATION") {
		case one.name:
			runtime.LockOSThread()
			one.f()
			return
		case "":
			again := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
			again.Env = append(os.Environ(), "FAPWS_TEST_MODE="+one.mode, "FAPWS_TEST_VIOLATION="+one.name)
			output, err := again.CombinedOutput()
			if err == nil || !strings.Contains(string(output), one.want) {
				t.Errorf("%s: %v, without %q in\n%s", one.name, err, one.want, output)
			}
		}
	}
}

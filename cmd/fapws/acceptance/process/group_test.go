package process_test

import (
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The signal may reach the workers of a process group or control group before their supervisor. It is a stop: no worker
// is replaced. On a busy machine, the supervisor is sometimes too late for the workers.
func TestSignalToTheProcessGroupStopsTheServer(t *testing.T) {
	const own = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *a: " +
		"sys.exit(5))\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
	const served = "PATHS = [('/', lambda environ, start_response: 'served')]\n"
	const async = `
async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
`
	replaces := regexp.MustCompile("replacing worker|starting a new one|Traceback")
	for name, text := range map[string]string{"WSGI": served, "own handler": own + served, "own handler, ASGI": own +
		async} {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(fmt.Sprint(name, " ", sig), func(t *testing.T) {
				t.Parallel()
				script := fapwstest.Write(t, t.TempDir()+"/app.py", text)
				said := ""
				for range 5 {
					s := fapwstest.Command{Script: script, Complains: true}.Serve(t, fapwstest.Workers)
					s.HasWorkers(2)
					s.Get("/", 200).Is(t, "served")
					for _, pid := range s.Workers() {
						fapwstest.Must(t, syscall.Kill(pid, sig))
					}
					time.Sleep(20 * time.Millisecond) // a tool needs this time to signal each process
					s.Signal(sig)
					s.EndsWith(0)
					if said = s.Stderr.String(); !replaces.MatchString(said) {
						return
					}
				}
				t.Errorf("%s", said)
			})
		}
	}
}

package process_test

import (
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A terminal or systemd sends a signal to all processes of the server. Workers may get the signal before the
// supervisor, and on a busy machine, the supervisor may get the signal much later.
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
					// A tool may need this time between the signals to two processes.
					time.Sleep(20 * time.Millisecond)
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

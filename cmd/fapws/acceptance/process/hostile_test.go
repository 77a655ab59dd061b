package process_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// takenOver is a server with an application in a sandbox (testdata/hostile.py). An attacker controls the application
// and sends forged messages to the supervisor.
type takenOver struct {
	*fapwstest.Server
	// directory for the files named in forged messages; only the supervisor may write there
	place string
}

// serveTakenOver starts a server with a hostile application. While the application loads, it sends messages of the
// kinds that the parameter kinds lists.
func serveTakenOver(t *testing.T, m fapwstest.Mode, kinds string, flags ...string) *takenOver {
	t.Helper()
	folder := fapwstest.PublicFolder(t)
	x := &takenOver{place: folder + "/place"}
	fapwstest.Must(t, os.Mkdir(x.place, 0o777), os.Chmod(x.place, 0o777))
	x.says(kinds)
	text := fapwstest.Source(t, "hostile.py")
	if m.Forks() {
		text = strings.Replace(text, "async def app", "async def other", 1) + wsgi
	}
	app := fapwstest.Write(t, folder+"/app/hostile.py", text)
	c := fapwstest.Command{Script: app, Args: []string{x.place}, Complains: true, Flags: flags}
	x.Server = unprivileged(t, c).Serve(t, m)
	return x
}

func (x *takenOver) says(kinds string) { _ = os.WriteFile(x.place+"/say", []byte(kinds), 0o644) }

func (x *takenOver) isUnharmed(when string) {
	x.T.Helper()
	files := fapwstest.Try(os.ReadDir(x.place)).Must(x.T)
	fapwstest.Equalf(x.T, len(files), 1, "%s: the supervisor has made", when)
	if status := x.Control("status"); strings.Contains(status, x.place) || strings.Contains(status, "forged") {
		x.T.Errorf("%s: the supervisor believes %s", when, status)
	}
}

const wsgi = `

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(say(environ["QUERY_STRING"])).encode()]
`

// harmless lists the kinds of messages that an application in a sandbox may send, and a kind that does not exist. fatal
// lists the kinds for which the supervisor kills the sender.
var (
	harmless = strings.Split("loaded,started,failing,checked,unused,recycle,join,publish,counts,last "+
		"words,ask,answer,purge,"+
		"listen,retire,depart,stop,quit,reopen,check,notice,events,give,take,piece,read,new", ",")
	fatal = []string{"configured", "confined", "certificates", "closed"}
)

// Messages from inside the sandbox must not make the supervisor write a file or bind an address.
func TestForgedSettingsNameNoFileOrAddress(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, fapwstest.Asleep},
		func(t *testing.T, m fapwstest.Mode) {
			x := serveTakenOver(t, m, "loaded,unused", "--sandbox")
			x.isUnharmed("start")
			if m.Name == fapwstest.Asleep.Name {
				for range 2 {
					sleeps(x.Server)
					x.Get("/", 200).Is(t, "hello")
					x.isUnharmed("wake")
				}
				x.says("configured")
				sleeps(x.Server)
				_, _ = x.Dial().Tries(fapwstest.Get("/"))
				x.Says(`sent the message "configured" while it was waking and was killed`)
				x.says("loaded")
				x.HasWorkers(1)
			}
			x.Reload()
			x.isUnharmed("reload")
			x.Upgrade()
			x.isUnharmed("upgrade")
			x.Get("/", 200).Is(t, "hello")
		})
}

func TestForgedMessageEndsAtMostItsSender(t *testing.T) {
	t.Parallel()
	x := serveTakenOver(t, fapwstest.Threads, strings.Join(harmless, ","), "--sandbox")
	x.isUnharmed("start")
	for _, kind := range fatal {
		x.says(kind)
		x.ReloadFails(`sent the message "` + kind + `" while it was entering its sandbox and was killed`)
		x.isUnharmed(kind + " before loaded")
	}
	x.says("")
	x.Reload()
	for _, kind := range append([]string{strings.Join(harmless, ",")}, fatal...) {
		killed := func() int { return strings.Count(x.Stderr.String(), `sent the message "`+kind+`"`) }
		before := killed()
		_, _ = x.Dial().Tries(fapwstest.Get("/?" + strings.ReplaceAll(kind, " ", "+")))
		fapwstest.Eventually(t, "the sender of "+kind+" has been judged, and the server answers", func() bool {
			a, err := x.Dial().Tries(fapwstest.Get("/"))
			return err == nil && a.Text == "hello" && (killed() > before) == slices.Contains(fatal, kind)
		})
		x.isUnharmed(kind)
	}
}

func TestForkedHandlerHasNoChannelToTheSupervisor(t *testing.T) {
	t.Parallel()
	x := serveTakenOver(t, fapwstest.Forks, "", "--sandbox", "--workers", "2")
	x.Get("/?configured", 200).Is(t, "0")
	x.isUnharmed("fork")
}

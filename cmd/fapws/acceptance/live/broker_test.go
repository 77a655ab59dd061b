package live_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/backend/backendtest"
	"fapws/runtime/conn/certtest"
)

func node(t *testing.T, url string, flags ...string) *fapwstest.Server {
	t.Helper()
	c := fapwstest.Command{Script: "nodes.py",
		Flags: append([]string{"--channels", url, "--channel-max-event", "1M"}, flags...)}
	return c.Serve(t, fapwstest.Mode{Name: "node"})
}

// loadingNode starts a server that uses the broker. It returns two subscribers that connected while the server was
// loading. The second subscriber has sent Last-Event-ID.
func loadingNode(t *testing.T, url, last string) (s *fapwstest.Server, waits, resumes *subscriber) {
	t.Helper()
	address, folder := backendtest.Unused(t), t.TempDir()
	script := fmt.Sprintf("import os, time\nwhile not os.path.exists(%q):\n    time.sleep(0.01)\n%s", folder+"/go",
		fapwstest.Source(t, "nodes.py"))
	s = fapwstest.Command{Script: fapwstest.Write(t, folder+"/nodes.py", script),
		Flags: []string{"--bind", address, "--channels", url, "--health", "/health"}}.Start(t)
	s.Address = address
	fapwstest.Eventually(t, "it answers", func() bool { return fapwstest.Listens("tcp", address) })
	var all [2]*subscriber
	var errs [2]error
	var ends sync.WaitGroup
	for i, fields := range [][]string{nil, {"Last-Event-ID: " + last}} {
		ends.Go(func() { all[i], errs[i] = tryListen(s, "/news", fields...) })
	}
	s.Get("/health", 200)
	fapwstest.Write(t, folder+"/go", "")
	ends.Wait()
	fapwstest.Must(t, errors.Join(errs[:]...))
	return s, all[0], all[1]
}

func (l *subscriber) getsAll(data ...string) (last event) {
	l.t.Helper()
	for _, one := range data {
		last = l.gets(one)
	}
	return last
}

func numbers(from, to int) (all []string) {
	for ; from < to; from++ {
		all = append(all, fmt.Sprint(from))
	}
	return all
}

const redisPassword = "a secret"

func TestServersWithOneBrokerActAsOneServer(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, "--requirepass", redisPassword)
	url := "redis://:" + strings.ReplaceAll(redisPassword, " ", "%20") + "@" + r.Address + "?prefix=test"
	a, b := node(t, url), node(t, url, "--workers", "2")
	onA, onB := listen(a, "/news"), listen(b, "/news")
	send := func(s *fapwstest.Server, lines ...string) {
		t.Helper()
		s.Get("/send?"+strings.Join(lines, ","), 200).Is(t, "sent")
	}

	send(a, "one", "two")
	onA.getsAll("one", "two")
	two := onB.getsAll("one", "two")
	send(b, "three")
	x, y := onA.gets("three"), onB.gets("three")
	fapwstest.Equalf(t, x.id, y.id, "ids of the same event")
	listen(a, "/news", "Last-Event-ID: "+two.id).gets("three")

	// This event does not fit into one datagram between the supervisor and a worker.
	large := strings.Repeat("x", 300000)
	a.Get("/large?300000", 200)
	onA.gets(large)
	onB.gets(large)

	socket := b.Socket("/room")
	a.Get("/shout?hello", 200)
	fapwstest.Hears(t, socket, "hello")

	r.Kill()
	b.Says(`error channels: redis://:xxxxx@` + r.Address + `\?prefix=test is away`)
	a.Says(`error channels: .* is away \(.*\); events wait for it, up to 64 MB`)
	b.Upgrade()
	send(a, numbers(0, 50)...)
	send(b, "from-b")
	// "hello", the message for the WebSocket, also waits if the broker ended before it confirmed this message.
	fapwstest.Eventually(t, "the events wait", func() bool {
		n, err := strconv.Atoi(metricOf(a, "fapws_broker_waiting_events"))
		return err == nil && n >= 50
	})
	fapwstest.Equalf(t, metricOf(a, "fapws_broker_up"), "0", "fapws_broker_up while it is away")
	r.Restart()
	a.Says(`info channels: .* is back after .*; 5[01] events waited`)
	want := map[string]int{}
	for _, one := range append(numbers(0, 50), "from-b") {
		want[one]++
	}
	var first []string
	for _, l := range []*subscriber{onA, onB} {
		got, order := map[string]int{}, []string{}
		for range len(want) {
			e := fapwstest.Try(l.next()).Must(t)
			got[e.data]++
			order = append(order, e.data)
		}
		for one, n := range want {
			fapwstest.Truef(t, got[one] == n, "%q came %d times", one, got[one])
		}
		if first == nil {
			first = order
		} else if strings.Join(order, ",") != strings.Join(first, ",") {
			t.Errorf("one server has the order %v, another one %v", first, order)
		}
	}
	fapwstest.Eventually(t, "it is up", func() bool { return metricOf(a, "fapws_broker_up") == "1" })

	// A server that starts gets all past events from the broker. After a reload or an upgrade, the server gets only
	// events that are newer than its last event.
	send(a, "before")
	before := onA.gets("before")
	onB.gets("before")
	send(b, "after")
	onA.gets("after")
	onB.gets("after")
	c, waits, resumes := loadingNode(t, url, before.id)
	resumes.gets("after")
	b.Reload()
	send(a, "reloaded")
	onB.gets("reloaded")
	b.Upgrade()
	send(a, "upgraded")
	onB.gets("upgraded")
	onA.getsAll("reloaded", "upgraded")
	resumes.getsAll("reloaded", "upgraded")
	waits.getsAll("reloaded", "upgraded")
	listen(c, "/news", "Last-Event-ID: "+before.id).getsAll("after", "reloaded", "upgraded")
	d := node(t, url, "--workers", "2")
	for range 8 {
		listen(d, "/news", "Last-Event-ID: "+before.id).getsAll("after", "reloaded", "upgraded")
	}

	for _, forget := range []func(){
		func() { b.Get("/forget", 200).Is(t, "forgotten") },
		func() {
			fapwstest.Eventually(t, "no worker of before the upgrade is ending", func() bool {
				code, _, _ := b.Ctl("purge", "/page")
				return code == 0
			})
		},
	} {
		before := a.Get("/page", 200).Text
		a.Get("/page", 200).Is(t, before)
		forget()
		fapwstest.Eventually(t, "the page is made again", func() bool { return a.Get("/page", 200).Text != before })
	}
}

func metricOf(s *fapwstest.Server, name string) string {
	_, stdout, _ := s.Ctl("metrics", "--plain")
	_, rest, _ := strings.Cut(stdout, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

func TestBrokerMayUseSentinelsOrTLS(t *testing.T) {
	t.Parallel()
	ca := certtest.NewAuthority(t)
	dir := t.TempDir()
	cert, key := ca.For("127.0.0.1").Write(dir)
	trusted := certtest.Write(t, filepath.Join(dir, "ca.pem"), ca.PEM)
	address := redistest.FreeAddress(t)
	secure := redistest.Run(t, address, "--port", "0", "--tls-port", redistest.PortOf(address), "--tls-cert-file", cert,
		"--tls-key-file", key, "--tls-ca-cert-file", trusted, "--tls-auth-clients", "no")
	master, sentinel := redistest.Start(t, "--requirepass", "secret"), redistest.FreeAddress(t)
	redistest.Run(t, sentinel, fapwstest.Write(t, filepath.Join(dir, "sentinel.conf"),
		fmt.Sprintf("port %s\nsentinel monitor main 127.0.0.1 %s 1\nsentinel auth-pass main secret\n",
			redistest.PortOf(sentinel), redistest.PortOf(master.Address))), "--sentinel")
	for _, c := range []struct{ url, env string }{
		{"rediss://" + secure.Address, "SSL_CERT_FILE=" + trusted},
		{"valkeys://" + secure.Address, "SSL_CERT_FILE=" + trusted},
		{"redis+sentinel://:secret@" + sentinel + "/main", ""},
	} {
		command := fapwstest.Command{Script: "nodes.py", Flags: []string{"--channels", c.url}, Env: []string{c.env}}
		a, b := command.Serve(t, fapwstest.Mode{}), command.Serve(t, fapwstest.Mode{})
		onB := listen(b, "/news")
		a.Get("/send?"+strings.TrimPrefix(c.url, "redis"), 200)
		onB.gets(strings.TrimPrefix(c.url, "redis"))
	}
	isWrong(t, "redis+sentinel://"+sentinel+"/none", 3, "fapws: channels: cannot reach redis+sentinel://"+sentinel+
		`/none: sentinel `+sentinel+`: unknown master "none"`)
}

// isWrong checks that a server with this broker does not start, and that its error begins with line.
func isWrong(t *testing.T, url string, code int, line string) {
	t.Helper()
	fapwstest.Command{Script: "nodes.py", Flags: []string{"--bind", "127.0.0.1:0", "--channels", url}}.Fails(t, code, line)
}

func TestBrokerErrorIsReportedInOneLine(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, "--requirepass", redisPassword, "--user", "reader", "on", "nopass", "allkeys", "allchannels", "+@all", "-eval",
		"--user", "mute", "on", "nopass", "~*", "+@all", "resetchannels")
	for _, c := range []struct {
		url  string
		code int
		line string
	}{
		{"redis://:wrong@" + r.Address, 3, "fapws: channels: cannot reach redis://:xxxxx@" + r.Address + ": WRONGPASS "},
		{"redis://" + r.Address, 3, "fapws: channels: cannot reach redis://" + r.Address + ": NOAUTH "},
		{"redis://mute:any@" + r.Address, 3, "fapws: channels: cannot reach redis://mute:xxxxx@" + r.Address +
			": ERR The user executing the script can't publish to the channel"},
		{"redis://reader:any@" + r.Address, 3, "fapws: channels: cannot reach redis://reader:xxxxx@" + r.Address +
			": NOPERM "},
		{"redis://127.0.0.1:1", 3, "fapws: channels: cannot reach redis://127.0.0.1:1: connection refused; start the " +
			"server there, or correct the address"},
		{"redis://" + r.Address + "?prefix={x}", 2, "fapws: --channels redis://" + r.Address +
			"?prefix={x}: must be redis://HOST"},
		{"kafka://" + r.Address, 2, "fapws: --channels kafka://" + r.Address + ": must be redis://HOST"},
	} {
		isWrong(t, c.url, c.code, c.line)
	}
}

func TestInvalidEventsOnABrokerDoNotBlockOtherEvents(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	s := node(t, "redis://"+r.Address)
	news := listen(s, "/news")
	c := fapwstest.Try(net.Dial("tcp", r.Address)).Must(t)
	defer c.Close()
	const entries = 50
	for range entries {
		for _, raw := range []string{`zzzz`, `\x00\x00\x00\x00`, `\x04news\x00\x03a\nb\x01c`} {
			fapwstest.Try(fmt.Fprintf(c, "XADD {fapws}:events * batch \"events 1 1 1 x\\n%s\"\r\n", raw)).Must(t)
		}
	}
	answers := bufio.NewReader(c)
	for range 3 * entries {
		line, err := answers.ReadString('\n')
		fapwstest.Needf(t, err == nil && line[0] == '$', "%q, %v", line, err)
		fapwstest.Try(answers.ReadString('\n')).Must(t)
	}
	s.Get("/send?good", 200)
	news.gets("good")
	s.Says(`error an event cannot be sent: `)
	n := strings.Count(s.Stderr.String(), "\n")
	fapwstest.Truef(t, n <= entries/2, "%d lines in\n%s", n, s.Stderr)
}

func TestSubscribersAndGroupsOfAllServersAreCounted(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	url := "redis://" + r.Address
	counts := func(s *fapwstest.Server, target, want string) {
		t.Helper()
		fapwstest.Eventually(t, target+" is "+want, func() bool { return s.Get(target, 200).Text == want })
	}
	a, b := node(t, url), node(t, url, "--workers", "2")
	listen(a, "/news")
	left := listen(b, "/news")
	listen(b, "/news")
	counts(a, "/count", "3")
	counts(b, "/count", "3")
	left.conn.Close()
	counts(a, "/count", "2")
	b.Upgrade()
	counts(a, "/count", "2")
	counts(b, "/count", "2")

	c := fapwstest.Command{Script: "groups.py:application", Flags: []string{"--channels", url}}.Serve(t,
		fapwstest.Mode{Name: "groups"})
	d := fapwstest.Command{Script: "groups.py:application", Flags: []string{"--channels", url}}.Serve(t,
		fapwstest.Mode{Name: "groups"})
	c.Socket("/")
	d.Socket("/")
	counts(c, "/?lobby", "2")

	fapwstest.Kill(t, syscall.SIGKILL, b.Cmd.Process.Pid) // its numbers expire
	counts(a, "/count", "1")
	d.Stop()
	counts(c, "/?lobby", "1")
}

package samples

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A box is a console in a network namespace of its own, which has the address 192.0.2.10.
type box struct {
	t   *testing.T
	pid int
	dir string
}

const boxAddress = "192.0.2.10"

// asRoot reports whether this process may create and enter network namespaces. Otherwise, asRoot runs the test in a
// process that is root in a user namespace of its own.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", os.Args[0], "-test.run", "^"+t.Name()+"$")
	out, err := cmd.CombinedOutput()
	fapwstest.Truef(t, err == nil, "%v: %s", err, out)
	return false
}

// newBox starts a console whose command for the settings replaces the address of the namespace. A change must be
// confirmed within the given number of seconds.
func newBox(t *testing.T, confirm string, flags ...string) *box {
	t.Helper()
	return boxIn(t, copySample(t, "console"), "", confirm, flags...)
}

// boxIn is newBox for a console that is in a directory. commands run before it in its namespaces.
func boxIn(t *testing.T, dir, commands, confirm string, flags ...string) *box {
	t.Helper()
	fapwstest.Must(t, os.Chmod(fapwstest.Write(t, dir+"/apply", `#!/bin/sh
address=$(sed -n 's/.*"address": "\([^"]*\)".*/\1/p')
ip addr flush dev lo scope global
address=${address:-`+boxAddress+`}
ip addr add "${address%/*}/32" dev lo # with /24, all addresses of the network would be local
`), 0o755))
	fapwstest.Must(t, os.MkdirAll(dir+"/data", 0o700))
	cmd := exec.Command(fapwstest.Binary(t), "user", "-f", dir+"/data/users", "add", "admin")
	cmd.Env, cmd.Stdin = fapwstest.CleanEnviron(), strings.NewReader("correct horse\n")
	fapwstest.Must(t, cmd.Run())
	s := fapwstest.Command{Dir: dir, Complains: true,
		Flags: append(flags, "--config", "fapws.toml", "--state-dir", dir+"/state", "--bind", "0.0.0.0:8888", "--workers", "2"),
		Env: []string{"CONSOLE_APPLY=" + dir + "/apply", "CONSOLE_CONFIRM=" + confirm, "CONSOLE_RUN=" + dir + "/run",
			"CONSOLE_DATA=" + dir + "/data"},
		Shell: `exec unshare -n -m /bin/sh -c 'set -e; ip link set lo up; ip addr add ` + boxAddress + `/32 dev lo; ` + commands +
			`exec "$@"' sh "$@"`,
	}.Start(t)
	s.Says(`(?m)^  http://`)
	return &box{t, s.Cmd.Process.Pid, dir}
}

// browse returns a client that connects from inside of the namespace, with its own cookies.
func (b *box) browse() *http.Client {
	jar, _ := cookiejar.New(nil)
	dial := func(_ context.Context, _, address string) (net.Conn, error) {
		runtime.LockOSThread() // without UnlockOSThread, the thread ends with the goroutine
		space, err := os.Open("/proc/" + strconv.Itoa(b.pid) + "/ns/net")
		if err == nil {
			defer space.Close()
			err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			return nil, err
		}
		return net.DialTimeout("tcp4", address, time.Second)
	}
	return &http.Client{Jar: jar, Timeout: fapwstest.Patience, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

var loginToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// logIn returns a client that has logged in at an address with a port, which a prefix may follow.
func (b *box) logIn(address string) *http.Client {
	b.t.Helper()
	c, prefix := b.browse(), ""
	if _, path, found := strings.Cut(address, "/"); found {
		prefix = "/" + path
	}
	_, form := b.ask(c, "GET", "http://"+address+"/_fapws/login", nil)
	token := loginToken.FindStringSubmatch(form)
	fapwstest.Needf(b.t, token != nil, "no form: %s", form)
	status, text := b.ask(c, "POST", "http://"+address+"/_fapws/login", url.Values{"token": {token[1]},
		"name": {"admin"}, "password": {"correct horse"}, "next": {prefix + "/settings"}})
	fapwstest.Needf(b.t, status == 200 && strings.Contains(text, "<h1>Settings</h1>"), "%d %s", status, text)
	return c
}

func (b *box) ask(c *http.Client, method, address string, form url.Values) (status int, text string) {
	b.t.Helper()
	return b.askHost(c, "", method, address, form)
}

func (b *box) askHost(c *http.Client, host, method, address string, form url.Values) (status int, text string) {
	b.t.Helper()
	r := fapwstest.Try(http.NewRequest(method, address, strings.NewReader(form.Encode()))).Must(b.t)
	if r.Host = host; host != "" { // the jar has no cookies for this host
		for _, cookie := range c.Jar.Cookies(r.URL) {
			r.AddCookie(cookie)
		}
	}
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", urlencoded)
	}
	resp := fapwstest.Try(c.Do(r)).Must(b.t)
	defer resp.Body.Close()
	return resp.StatusCode, string(fapwstest.Try(io.ReadAll(resp.Body)).Must(b.t))
}

func (b *box) reaches(address string) bool {
	resp, err := b.browse().Get("http://" + address + ":8888/_fapws/login")
	if err == nil {
		resp.Body.Close()
	}
	return err == nil
}

// applied waits until the command for the settings has succeeded.
func (b *box) applied() {
	b.t.Helper()
	fapwstest.Eventually(b.t, "the settings are applied", func() bool {
		return strings.Contains(fapwstest.TextOf(b.t, b.dir+"/data/pending.json"), `"applied": true`)
	})
}

// decided waits until the new network settings have been confirmed or taken back.
func (b *box) decided() {
	b.t.Helper()
	fapwstest.Eventually(b.t, "the question is removed", func() bool {
		_, err := os.Stat(filepath.Join(b.dir, "data/pending.json"))
		return os.IsNotExist(err)
	})
}

// change sets the address, and returns the page.
func (b *box) change(c *http.Client, address, to string) string {
	b.t.Helper()
	_, text := b.ask(c, "POST", "http://"+address+":8888/settings", url.Values{"hostname": {"router"}, "address": {to + "/24"}})
	return text
}

// The unit of a new console has ProtectSystem=strict: only its own directory and the state directory are writable.
func TestConsoleWorksWhereOnlyItsDirectoryIsWritable(t *testing.T) {
	if !asRoot(t) {
		return
	}
	dir := copySample(t, "console")
	fapwstest.Must(t, os.Mkdir(dir+"/tmp", 0o700))
	b := boxIn(t, dir, "mount --bind "+dir+" "+dir+"; cd "+dir+"; mount -o remount,bind,ro /; ! touch /tmp/x 2>/dev/null; "+
		"export TMPDIR="+dir+"/tmp; ", "20")
	c := b.logIn(boxAddress + ":8888")
	address := "http://" + boxAddress + ":8888"
	for _, path := range []string{"/", "/logs", "/services", "/firmware", "/terminal"} {
		status, text := b.ask(c, "GET", address+path, nil)
		fapwstest.Truef(t, (status == 200) == (path != "/firmware"), "%s: %d %s", path, status, text)
		fapwstest.Has(t, text, `<a hidden href="/firmware">`) // CONSOLE_INSTALL is not set
	}
	status, text := b.ask(c, "POST", address+"/settings", url.Values{"hostname": {"router"},
		"zone": {"Europe/Berlin"}, "dhcp": {"on"}})
	fapwstest.Truef(t, status == 200 && strings.Contains(text, "The device has applied them."), "%d %s", status, text)
	fapwstest.Has(t, fapwstest.Read(t, dir+"/data/settings.json"), `"zone": "Europe/Berlin"`)
	_, text = b.ask(c, "POST", address+"/password", url.Values{"old": {"correct horse"}, "new": {"battery staple"},
		"again": {"battery staple"}})
	fapwstest.Has(t, text, "Your password is changed.")
	_, text = b.ask(c, "GET", address+"/", nil)
	fapwstest.Has(t, text, "current-password") // all sessions have ended
}

func TestConsoleTakesANewAddressBackThatNobodyConfirms(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := newBox(t, "3")
	c := b.logIn(boxAddress + ":8888")
	page := b.change(c, boxAddress, "192.0.2.20")
	fapwstest.Has(t, page, `open <a href="http://192.0.2.20:8888/settings">`)
	fapwstest.Has(t, page, ", log in there again, and confirm them there")
	fapwstest.Has(t, page, `come back in <b id="left">2</b> seconds`)
	status, text := b.ask(c, "POST", "http://"+boxAddress+":8888/settings/confirm", url.Values{})
	fapwstest.Truef(t, status == 409 && strings.Contains(text, "Open http://192.0.2.20:8888 and confirm there."), "%d %s", status, text)
	fapwstest.Eventually(t, "the address changes", func() bool { return b.reaches("192.0.2.20") && !b.reaches(boxAddress) })
	fapwstest.Eventually(t, "the old address is back", func() bool { return b.reaches(boxAddress) && !b.reaches("192.0.2.20") })
	kept := fapwstest.Read(t, b.dir+"/data/settings.json")
	fapwstest.Truef(t, strings.Contains(kept, `"address": ""`) && strings.Contains(kept, `"hostname": "router"`), "%s", kept)
	b.decided()
	said := "The old network settings are back: nobody confirmed the new settings within 3 seconds."
	_, text = b.ask(c, "GET", "http://"+boxAddress+":8888/logs", nil)
	fapwstest.Has(t, text, said)
	_, text = b.ask(c, "GET", "http://"+boxAddress+":8888/logs", nil)
	fapwstest.Lacks(t, text, said)

	// A command that fails takes the settings back at once, and the next page has its message.
	fapwstest.Must(t, os.Rename(b.dir+"/apply", b.dir+"/works"))
	fapwstest.Must(t, os.Chmod(fapwstest.Write(t, b.dir+"/apply", `#!/bin/sh
settings=$(cat)
case $settings in *192.0.2.30*) echo no such network >&2; exit 1;; esac
echo "$settings" | "${0%/*}/works"
`), 0o755))
	b.change(c, boxAddress, "192.0.2.30")
	b.decided()
	_, text = b.ask(c, "GET", "http://"+boxAddress+":8888/settings", nil)
	fapwstest.Has(t, text, "The old network settings are back: apply: no such network.")
}

// With DHCP, nobody knows the new address: the link has the name of the device.
func TestConsoleNamesTheDeviceThatGetsItsAddressByDHCP(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := newBox(t, "60")
	fapwstest.Write(t, b.dir+"/data/settings.json", `{"hostname": "router", "address": "`+boxAddress+`/24"}`)
	address := "http://" + boxAddress + ":8888/settings"
	c := b.logIn(boxAddress + ":8888")
	_, text := b.ask(c, "POST", address, url.Values{"hostname": {"router"}, "dhcp": {"on"}})
	fapwstest.Has(t, text, `open <a href="http://router.local:8888/settings">`)
	_, text = b.askHost(c, "router.lan:8888", "GET", address, nil)
	fapwstest.Has(t, text, `open <a href="http://router.lan:8888/settings">http://router.lan:8888/settings</a> and confirm`)
	b.applied()
	_, text = b.askHost(c, "router.lan:8888", "GET", address, nil)
	fapwstest.Has(t, text, "Keep the new settings")
	status, text := b.ask(c, "POST", address+"/confirm", url.Values{})
	fapwstest.Truef(t, status == 409 && strings.Contains(text, "Open http://router.local:8888 and confirm there."), "%d %s", status, text)
}

// A change of the gateway alone is confirmed at the address that the device has had before, too.
func TestConsoleKeepsANewGateway(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := newBox(t, "60")
	fapwstest.Write(t, b.dir+"/data/settings.json", `{"hostname": "router", "address": "`+boxAddress+`/24"}`)
	address := "http://" + boxAddress + ":8888/settings"
	c := b.logIn(boxAddress + ":8888")
	_, text := b.ask(c, "POST", address, url.Values{"gateway": {"192.0.2.1"}})
	fapwstest.Has(t, text, `open <a href="`+address+`">`+address+`</a> and confirm them there`)
	b.applied()
	_, text = b.ask(c, "GET", address, nil)
	fapwstest.Has(t, text, "Keep the new settings")
	_, text = b.ask(c, "POST", address+"/confirm", url.Values{})
	fapwstest.Has(t, text, "Kept.")
}

func TestConsoleRefusesAnAddressThatADeviceCannotHave(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := newBox(t, "60")
	c := b.logIn(boxAddress + ":8888")
	for _, one := range []struct{ address, gateway, says string }{
		{"192.168.1.0/24", "", "192.168.1.0 is the network itself: enter one of 192.168.1.1 to 192.168.1.254."},
		{"192.168.1.255/24", "", "192.168.1.255 is the broadcast address: enter one of 192.168.1.1 to 192.168.1.254."},
		{"2001:db8::/64", "fe80::1", "2001:db8:: is the network itself: enter one of 2001:db8::1 to 2001:db8::ffff:ffff:ffff:fffe."},
		{"255.255.255.255/32", "", "255.255.255.255 is reserved: a device cannot have it."},
		{"0.0.0.0/32", "", "0.0.0.0 is reserved: a device cannot have it."},
		{"127.0.0.1/8", "", "127.0.0.1 is reserved: a device cannot have it."},
		{"192.168.1.2/24", "192.168.1.2", "192.168.1.2 is the address of the device itself."},
		{"192.168.1.2/24", "192.168.1.255", "192.168.1.255 is the broadcast address: enter one of"},
		{"192.168.1.2/24", "192.168.2.1", "192.168.2.1 is outside the network 192.168.1.0/24."},
		{"192.168.1.2/24", "fd00::1", "fd00::1 is outside the network 192.168.1.0/24."},
		{"192.168.1.2/24", "router", "router is not an address."},
		{"192.168.1.2", "", "192.168.1.2 is not an address with its network, such as 192.168.1.2/24."},
		{"192.168.1.2/0", "", "192.168.1.2/0 is not an address with its network, such as 192.168.1.2/24."},
		{"", "192.168.1.1", "Enter one, or turn on DHCP."},
		// These addresses are possible.
		{"10.0.0.0/31", "10.0.0.1", ""},
		{"2001:db8::1/64", "fe80::1", ""},
	} {
		form := url.Values{"address": {one.address}, "gateway": {one.gateway}, "hostname": {"-"}}
		status, text := b.ask(c, "POST", "http://"+boxAddress+":8888/settings", form)
		said := regexp.MustCompile(`id="(?:address|gateway)-wrong">([^<]*)`).FindAllStringSubmatch(text, -1)
		fapwstest.Needf(t, status == 422 && len(said) == 2, "%v: %d %s", one, status, text)
		fapwstest.Has(t, said[0][1]+said[1][1], one.says)
		fapwstest.Truef(t, one.says != "" || said[0][1]+said[1][1] == "", "%v: %q", one, said)
	}
}

// On a device without a list of time zones, the rule of a zone is accepted, and a name is refused.
func TestConsoleTakesTheRuleOfATimeZone(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := boxIn(t, copySample(t, "console"), "mount -t tmpfs none /usr/share/zoneinfo; ", "60")
	address := "http://" + boxAddress + ":8888/settings"
	c := b.logIn(boxAddress + ":8888")
	for zone, status := range map[string]int{"CET-1CEST,M3.5.0,M10.5.0/3": 200, "<+0330>-3:30": 200, "UTC0": 200, "Etc/UTC": 200,
		"Europe/Berlin": 422, "CET-1CEST,M13.5.0,M10.5.0/3": 422, "CET-1CEST": 422, "CET": 422, "": 422} {
		got, text := b.ask(c, "POST", address, url.Values{"zone": {zone}, "dhcp": {"on"}})
		fapwstest.Equalf(t, got, status, "%s: %s", zone, text)
		fapwstest.Lacks(t, text, "<option>")
	}
}

func TestConsoleWithoutAShellHasNoTerminal(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := boxIn(t, copySample(t, "console"), "export CONSOLE_SHELL=; ", "60")
	c := b.logIn(boxAddress + ":8888")
	for path, want := range map[string]int{"/terminal": 404, "/terminal/shell": 404, "/logs": 200} {
		status, text := b.ask(c, "GET", "http://"+boxAddress+":8888"+path, nil)
		fapwstest.Equalf(t, status, want, "%s", path)
		fapwstest.Has(t, text, `<a hidden href="/terminal">`)
	}
}

func TestConsoleKeepsANewAddressThatIsConfirmedThere(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := newBox(t, "20")
	fapwstest.Has(t, b.change(b.logIn(boxAddress+":8888"), boxAddress, "192.0.2.20"), "http://192.0.2.20:8888/settings")
	fapwstest.Eventually(t, "the address changes", func() bool { return b.reaches("192.0.2.20") && !b.reaches(boxAddress) })
	c := b.logIn("192.0.2.20:8888")
	b.applied()
	_, text := b.ask(c, "GET", "http://192.0.2.20:8888/logs", nil)
	fapwstest.Has(t, text, "Keep the new settings")
	// A request through another address proves nothing about the new one.
	status, text := b.askHost(c, boxAddress, "POST", "http://192.0.2.20:8888/settings/confirm", url.Values{})
	fapwstest.Truef(t, status == 409 && strings.Contains(text, "Open http://192.0.2.20 and confirm there."), "%d %s", status, text)
	_, text = b.ask(c, "POST", "http://192.0.2.20:8888/settings/confirm", url.Values{})
	fapwstest.Has(t, text, "Kept.")
	fapwstest.Lacks(t, text, "Keep the new settings")
	fapwstest.Has(t, fapwstest.Read(t, b.dir+"/data/settings.json"), `"address": "192.0.2.20/24"`)
	b.decided()
}

// Every link, form and script of each page is below the prefix, and a page that does not exist marks no other one.
func TestConsoleWorksUnderAPrefix(t *testing.T) {
	if !asRoot(t) {
		return
	}
	b := newBox(t, "20", "--root-path", "/console")
	c := b.logIn(boxAddress + ":8888/console")
	link := regexp.MustCompile(`(?:href|src|action)="(/[^"]*)"`)
	for _, path := range []string{"/", "/services", "/logs", "/settings", "/password", "/reboot", "/nothing"} {
		status, text := b.ask(c, "GET", "http://"+boxAddress+":8888/console"+path, nil)
		marked := strings.Contains(text, `aria-current="page"`)
		fapwstest.Truef(t, (status != 404) == (path != "/nothing") && marked == (path != "/nothing"), "%s: %d %s", path, status, text)
		links := link.FindAllStringSubmatch(text, -1)
		fapwstest.Truef(t, len(links) > 10, "%s: %s", path, text)
		for _, found := range links {
			fapwstest.Truef(t, strings.HasPrefix(found[1], "/console/"), "%s: %s", path, found[0])
		}
	}
	status, _ := b.ask(c, "GET", "http://"+boxAddress+":8888/console/www/console.css", nil)
	fapwstest.Equal(t, status, 200)
}

// The example for systemd writes its files, runs its commands, and fails with the message of a command that fails. Only
// the commands are stubs.
func TestConsoleSettingsAreAppliedBySystemd(t *testing.T) {
	if !asRoot(t) {
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"hostnamectl", "timedatectl", "systemctl", "networkctl"} {
		fapwstest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho ${0##*/} \"$@\" >> "+dir+"/called\n"+
			"case $2 in *nowhere*) echo no such zone >&2; exit 1 ;; esac\n"), 0o755))
	}
	apply := func(settings string) (output string, err error) {
		cmd := exec.Command("unshare", "--mount", "sh", "-c", "mkdir -p /etc/systemd && mount -t tmpfs none /etc/systemd && "+
			`python3 console/examples/apply-systemd.py && cat /etc/systemd/network/*.network /etc/systemd/timesyncd.conf.d/*.conf`)
		cmd.Env, cmd.Stdin = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH")), strings.NewReader(settings)
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	text, err := apply(`{"hostname": "pump-3", "zone": "Etc/UTC", "ntp": "a.example 192.0.2.1", "address": "192.0.2.20/24", ` +
		`"gateway": "192.0.2.1", "dns": "192.0.2.1 192.0.2.2"}`)
	fapwstest.Mustf(t, err, "%s", text)
	fapwstest.Equal(t, text, "[Match]\nName=eth* en*\n\n[Network]\nAddress=192.0.2.20/24\nGateway=192.0.2.1\nDNS=192.0.2.1\n"+
		"DNS=192.0.2.2\n[Time]\nNTP=a.example 192.0.2.1\n")
	fapwstest.Equal(t, fapwstest.Read(t, dir+"/called"), "hostnamectl set-hostname pump-3\ntimedatectl set-timezone Etc/UTC\n"+
		"systemctl try-restart systemd-timesyncd\nnetworkctl reload\n")
	text, err = apply(`{"hostname": "pump-3", "zone": "nowhere", "ntp": "", "address": "", "gateway": "", "dns": ""}`)
	fapwstest.Truef(t, err != nil && text == "no such zone\n", "%v: %s", err, text)
}

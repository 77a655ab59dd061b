package samples

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/http1"
)

func TestConsoleWorksFromTheLoginToTheReboot(t *testing.T) {
	d := startConsole(t)
	b := startBrowser(t)
	p := b.open(t, d.URL, emulation.SetDeviceMetricsOverride(390, 844, 1, true), chromedp.ActionFunc(watchPolicy))
	for _, part := range []struct {
		name string
		use  func(*tab)
	}{
		{"login", d.logIn}, {"dashboard", d.dashboard}, {"services", d.services}, {"logs", d.logs},
		{"settings", d.settings}, {"backup", d.backup}, {"terminal", d.terminal},
		{"firmware", d.firmware}, {"reboot", d.reboot}, {"password", d.password}, {"refusals", d.refusals},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			p.t = t
			part.use(p)
		}) {
			return // After a failure, the next part would start on the wrong page.
		}
	}
}

// watchPolicy records violations of the Content-Security-Policy of each page.
func watchPolicy(ctx context.Context) error {
	_, err := page.AddScriptToEvaluateOnNewDocument(`window.refused = []
document.addEventListener("securitypolicyviolation",
	event => refused.push(event.violatedDirective + " " + event.blockedURI))`).Do(ctx)
	return err
}

func (d *device) logIn(p *tab) {
	p.picture("login")
	code := d.Stderr.Await(p.t, regexp.MustCompile(`log in with the code ([0-9A-Z-]+)\b.*\n`))[1]
	p.fill("[name=code]", code)
	p.fill("[name=name]", "admin")
	p.fill("[name=password]", "short")
	p.fill("[name=again]", "short")
	p.follow("form button", "at least 8 characters")
	fapwstest.Equal(p.t, value[string](p, `document.querySelector("[name=code]").value`), code)
	p.fill("[name=password]", "correct horse")
	p.fill("[name=again]", "correct horse")
	p.follow("form button")
	p.await(`document.querySelector(".user")?.innerText == "admin"`)
}

func (d *device) dashboard(p *tab) {
	p.shows("48.2 °C")
	p.await(`[...document.querySelectorAll(".curve path")].every(line => ` +
		`line.getAttribute("d")?.split("L").length > 170 || line.className.baseVal)`)
	for _, text := range []string{"router", "Raspberry Pi 4 Model B Rev 1.5", "6.6.51", "2.4.1",
		"Load 0.42 · 0.31 · 0.28", "1.68 GB of 3.98 GB", "3 d 4 h 34 min", "Network eth0", "eth0 192.168.1.20/24"} {
		p.shows(text)
	}
	p.await(`/CPU\s+\d+ %/.test(document.body.innerText)`)
	p.await(`[...document.querySelectorAll(".value")].every(card => card.offsetWidth > 300)`)
	p.keyboard()
	p.await(`/\b2[234] %/.test(document.getElementById("CPU").innerText)`) // live: an average of two seconds
	p.await(`/\d KB\/s\s+↑ 1\d\d KB\/s/.test(document.getElementById("Network-eth0").innerText)`)
	d.pointer(p)
	p.picture("dashboard")
	p.click(".user")
	p.picture("account")
	p.run(chromedp.KeyEvent(kb.Escape))
	p.do("document.activeElement.blur()")
	light := value[string](p, "getComputedStyle(document.body).backgroundColor")
	p.keep("-light")
	p.scheme("dark")
	fapwstest.Truef(p.t, value[string](p, "getComputedStyle(document.body).backgroundColor") != light,
		"the page is the same in the dark")
	p.keep("-dark")
	p.scheme("light")
	d.write(p.t, "sys/class/thermal/thermal_zone0/temp", "51500\n", 0o644)
	p.shows("51.5 °C")
	p.await(`document.getElementById("Temperature-number").className == "number "`)
	for temperature, level := range map[string]string{"79900": "", "80000": "high", "96000": "critical"} {
		d.write(p.t, "sys/class/thermal/thermal_zone0/temp", temperature+"\n", 0o644)
		p.await(fmt.Sprintf(`document.getElementById("Temperature-number").innerText.trim() == `+
			`"%s.%s °C %s".trim()`, temperature[:2], temperature[2:3], level))
		if level == "critical" {
			p.picture(level)
		}
	}
	d.write(p.t, "sys/class/thermal/thermal_zone0/temp", "51500\n", 0o644)
	p.shows("51.5 °C")
	p.screen(screens[0])
	p.do(`document.getElementById("Temperature").remove()`) // as on a device without a sensor
	p.await(`[...document.querySelectorAll(".value")].at(-1).getBoundingClientRect().right > ` +
		`document.querySelector(".cards").getBoundingClientRect().right - 2`)
	p.screen(screens[1])
}

func (d *device) pointer(p *tab) {
	for name, want := range map[string]string{"CPU": `^\d\d:\d\d:\d\d  \d+ %$`, "Temperature": `  4\d\.\d °C$`,
		"Network-eth0": `  ↓ \d\.?\d+ [KM]B/s  ↑ \d+ KB/s$`} {
		got := value[string](p,
			fmt.Sprintf(`{ const picture = document.querySelector("#%s svg"), box = picture.getBoundingClientRect()
picture.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: box.left + box.width / 2}))
document.querySelector("#%[1]s output").textContent }`, name))
		fapwstest.Truef(p.t, regexp.MustCompile(want).MatchString(got), "%s under the pointer: %q", name, got)
		fapwstest.Equal(p.t, value[int](p, `document.querySelectorAll("output:not([hidden])").length`), 1)
	}
	p.await(`document.getElementById("Network-eth0-scale").innerText.startsWith("5 MB/s")`)
}

// keyboard opens the pages with Tab and Enter alone, and checks that the focus is visible.
func (p *tab) keyboard() {
	at := "(document.activeElement.className || document.activeElement.getAttribute('href'))"
	for _, want := range []string{"skip", "brand", "user", "menu"} {
		p.run(chromedp.KeyEvent(kb.Tab))
		fapwstest.Equal(p.t, value[string](p, at+" + getComputedStyle(document.activeElement).outlineStyle"), want+"solid")
	}
	p.run(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab))
	fapwstest.Equal(p.t, value[string](p, at), "/services")
	p.run(chromedp.KeyEvent(kb.Escape))
	fapwstest.Truef(p.t, !value[bool](p, `document.getElementById("nav").matches(":popover-open")`),
		"Escape does not close the menu")
}

func (d *device) services(p *tab) {
	p.visit("services")
	p.await(`/cron\s+running[^]*nginx\s+running[^]*ntpd\s+stopped/.test(document.body.innerText)`)
	if got := value[string](p,
		`[...document.querySelectorAll(".state")].map(one => one.innerText + getComputedStyle(one).color).join()`); len(
		slices.Compact(strings.Split(strings.ReplaceAll(got, ", ", " "), ","))) != 3 {
		p.t.Errorf("the words and colors of failed, running, running, stopped: %s", got)
	}
	p.picture("services")
	p.follow(`[aria-label="stop cron"]`)
	p.await(`/cron\s+stopped/.test(document.body.innerText)`)
	p.fill("#search", "NTP")
	p.await(`document.querySelector("tbody").innerText.trim().startsWith("ntpd")`)
	p.follow(`[aria-label="start ntpd"]`)
	p.await(`/^ntpd\s+running\s+Restart\s+Stop\s+Started\.$/.test(document.querySelector("tbody").innerText.trim())`)
	p.fill("#search", "NTPx")
	p.shows("No service has such a name.")
	p.visit("services")
	p.follow(`[aria-label="restart nginx"]`)
	p.await(`document.querySelector("#service-nginx + tr").innerText.includes("Interactive authentication required.")`)
	p.await(`/ntpd\s+running/.test(document.body.innerText)`)
	p.picture("service-failed")
	p.follow(`[aria-label="start broken"]`, "broken did not keep running: it is failed a second after the start.")

	// Without systemd, the page shows the services of OpenRC. Without both, it shows the services of this machine, or
	// the reason why it cannot list them.
	d.remove(p.t, "running")
	d.write(p.t, "bin/rc-status", "#!/bin/sh\nprintf 'Runlevel: default\\n crond     [  stopped  ]\\n sshd      [  "+
		"started  ]\\nDynamic Runlevel: manual\\n'\n", 0o755)
	p.visit("services")
	p.await(`/^crond\s+stopped\s+Start\s+sshd\s+running\s+Restart\s+Stop$/` +
		`.test(document.querySelector("tbody")?.innerText.trim())`)
	d.remove(p.t, "bin/rc-status")
	p.visit("services")
	fapwstest.Truef(p.t, value[bool](p,
		`!!document.querySelector("table") || document.body.innerText.includes("has neither systemd nor OpenRC")`),
		"%s", value[string](p, "document.body.innerText"))
}

func (d *device) logs(p *tab) {
	log := filepath.Join(d.dir, "log/system.log")
	p.run(chromedp.Navigate(d.URL + "/logs?" + url.Values{"log": {log}}.Encode()))
	p.await(`document.getElementById("lines").innerText.trim() == "kernel: started\ncron: <b>job</b> 1 failed\n` +
		`cron: job 2 done"`)
	p.shows("3 lines")
	p.shows("Following")
	p.picture("logs")
	p.fill(`[name=search]`, "absent")
	p.follow(`#find button`, "No lines")
	none := value[string](p, `getComputedStyle(document.getElementById("lines"), "::before").content`)
	fapwstest.Equal(p.t, none, `"No line contains this text."`)
	p.picture("no-lines")
	p.fill("[name=search]", "FAILED")
	p.follow(`#find button`)
	p.await(`document.getElementById("lines").innerText.trim() == "cron: <b>job</b> 1 failed"`)
	eventually(p.t, "the log is followed", func() bool { return d.processes(p.t, "-F "+log) == 2 })
	file := fapwstest.Try(os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)).Must(p.t)
	defer file.Close()
	written := 0
	// Repeat the lines, because tail may not have opened the file when the first lines are written.
	eventually(p.t, "new lines appear", func() bool {
		written++
		fmt.Fprintf(file, "cron: job 3 done\ncron: job <i>%d</i> failed\n", written)
		return value[int](p, `document.getElementById("lines").innerText.trim().split("\n").length`) > 5
	})
	p.shows(fmt.Sprintf("<i>%d</i>", written))
	lines := strings.Split(strings.TrimSpace(value[string](p, "document.getElementById('lines').innerText")), "\n")
	for i, line := range lines[1:] {
		want := fmt.Sprintf("cron: job <i>%d</i> failed", written-len(lines)+2+i)
		fapwstest.Needf(p.t, line == want, "%s, want %s", line, want)
	}
	shown := value[string](p, `document.getElementById("lines").innerText`)
	p.click("#pause")
	fmt.Fprint(file, "cron: job failed twice\ncron: job failed again\n")
	p.shows("Paused, 2 new")
	fapwstest.Equal(p.t, value[string](p, `document.getElementById("lines").innerText`), shown)
	p.click("#pause")
	p.shows("cron: job failed again")
	p.shows(fmt.Sprintf("%d lines", len(lines)+2))
	p.visit("settings")
	eventually(p.t, "the log is not followed any more", func() bool { return d.processes(p.t, "-F "+log) == 0 })
}

// dressed checks that a page with an error has the same menu and style as other pages.
func (p *tab) dressed(name string) {
	p.t.Helper()
	fapwstest.Truef(p.t, value[bool](p, `!!document.querySelector("main .error .code") && `+
		`getComputedStyle(document.querySelector(".card")).borderRadius == "14px"`),
		"%s: not in the dress of the console", name)
	p.picture(name)
}

func (d *device) terminal(p *tab) {
	p.visit("terminal")
	screen := `document.getElementById("screen").innerText`
	enters := func(line string) { p.run(input.InsertText(line + "\n")) }
	p.await(screen + `.includes("$") || ` + screen + `.includes("#")`)
	p.run(chromedp.KeyEvent("echo $((6*7)) $(tty) $TERM\r"))
	p.await(`/42 \/dev\/pts\/\d+ xterm/.test(` + screen + `)`)
	enters("stty size")
	p.await("/\\n[1-9]\\d [1-9]\\d+\\s/.test(" + screen + ")")
	// an escape sequence that arrives in two parts, and a repeated X
	enters("printf '\\033[3'; sleep 0.3; printf '1mred\\033[0m\\033[5DX\\033[3b\\033[K\\r\\n'")
	p.await(`/^XXXX\s*$/m.test(` + screen + `)`)
	// The output simulates an editor, which restores the screen at its end.
	enters("stty -echo; printf '\\033[?1049h\\033[>4;1m\\033[2;3r\\033[Hone\\r\\ntwo\\r\\nthree\\r\\nfour'; read a; " +
		"printf '\\033[r\\033[?1049l'; stty echo")
	p.await(`/^one\s+three\s+four\s*$/.test(` + screen + `)`)
	enters("")
	p.await(`/42 \/dev\/pts/.test(` + screen + `)`)
	enters("sleep 12345")
	eventually(p.t, "a program runs in the terminal", func() bool { return d.processes(p.t, "sleep 12345") > 0 })
	p.click("[data-key=Control]")
	p.run(input.InsertText("c"))
	eventually(p.t, "Ctrl-C ends the program", func() bool { return d.processes(p.t, "sleep 12345") == 0 })
	enters("clear; ls --color=always -d /bin /boot /dev /etc /home /lib /proc /run /sys /usr /var; printf " +
		"'\\033[7m%20s\\033[0m\\n' console")
	p.await(screen + `.includes("console")`)
	p.picture("terminal")
	enters("kept=still; clear; echo; echo rea''dy")
	p.await(screen + `.includes("ready")`)
	for i, again := range []func(){d.Reload, func() { p.run(chromedp.Reload()) }} {
		again()
		eventually(p.t, "the shell is there again", func() bool {
			enters(fmt.Sprintf("echo $kept $((%d+40))", i))
			return value[bool](p, screen+fmt.Sprintf(`.includes("still %d")`, i+40))
		})
		p.await(screen + `.includes("ready")`)
	}
	enters("trap '' HUP; echo stay''ing") // SIGHUP does not end this shell; SIGKILL does.
	p.await(screen + `.includes("staying")`)
	if d.processes(p.t, "-s "+d.dir) != 2 { // the shell, and shell.py with the same arguments
		p.t.Error("the shell does not run")
	}
	d.noShell(p)
	d.fifthShell(p)
	p.visitAccount("reboot")
	eventually(p.t, "the shell has ended", func() bool { return d.processes(p.t, "-s "+d.dir) == 0 && d.zombies() == 0 })
}

// fifthShell opens three shells in addition to the shell in the browser. A fifth shell gets the reason why it does not start.
func (d *device) fifthShell(p *tab) {
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Cookie": {p.cookie()}}, Timeout: fapwstest.Patience}
	for i := range 4 {
		conn, early, _, err := dialer.Dial(p.ctx, fmt.Sprintf("ws%s/terminal/shell?%d", strings.TrimPrefix(d.URL, "http"), i))
		fapwstest.Needf(p.t, err == nil, "shell %d: %v", i+2, err)
		defer conn.Close()
		fapwstest.Must(p.t, wsutil.WriteClientBinary(conn, []byte{255, 24, 80}))
		from := io.ReadWriter(conn)
		if early != nil { // what has arrived with the response
			from = struct {
				io.Reader
				io.Writer
			}{io.MultiReader(early, conn), conn}
		}
		text, _, err := wsutil.ReadServerData(from)
		fapwstest.Truef(p.t, err == nil && strings.HasPrefix(string(text), "Four terminals are open already") == (i == 3),
			"shell %d: %q, %v", i+2, text, err)
	}
}

// noShell opens a terminal where no process can start, in a tab of its own. It says why, and tries again at Enter.
func (d *device) noShell(p *tab) {
	screen := `document.getElementById("screen").innerText`
	kept := value[string](p, `const kept = sessionStorage.shell; sessionStorage.shell = 1; kept`)
	fapwstest.Must(p.t, os.Rename(d.source+"/shell.py", d.source+"/away"))
	p.run(chromedp.Reload())
	p.await(`/No module named shell.*No shell has started. Enter tries again./.test(` + screen + `.replace(/\n/g, ""))`)
	p.picture("no-shell")
	fapwstest.Must(p.t, os.Rename(d.source+"/away", d.source+"/shell.py"))
	p.do(fmt.Sprintf("sessionStorage.shell = %q; document.querySelector('textarea').focus()", kept))
	p.run(chromedp.KeyEvent(kb.Enter))
	p.await(screen + `.includes("staying")`)
}

func (d *device) reboot(p *tab) {
	p.run(chromedp.Navigate(d.URL + "/reboot"))
	p.picture("reboot")
	fapwstest.Needf(p.t, d.text(p.t, "restarted") == "", "restarted without a question")
	restart := d.text(p.t, "bin/restart-device")
	d.write(p.t, "bin/restart-device", "#!/bin/sh\necho busy >&2; exit 1\n", 0o755)
	p.follow("main button", "Not restarted: restart-device: busy")
	d.write(p.t, "bin/restart-device", restart, 0o755)
	p.follow("main button", "The device restarts.")
	p.shows("51.5 °C")
	fapwstest.Truef(p.t, d.text(p.t, "restarted") != "", "the command has not run")
}

func (p *tab) cookie() (cookie string) {
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		cookies, err := network.GetCookies().Do(ctx)
		for _, c := range cookies {
			cookie += c.Name + "=" + c.Value + ";"
		}
		return err
	}))
	return cookie
}

// refusals sends requests that the console's pages never send, first without a session and then with a session.
func (d *device) refusals(p *tab) {
	t := p.t
	fapwstest.Equal(t, d.denial("/terminal/shell"), 401)
	for _, path := range []string{"/", "/values", "/logs", "/firmware-image", "/www/terminal.js"} {
		resp := d.get(path)
		fapwstest.Equalf(t, resp.StatusCode, 401, "%s without a session: %s, %s", path, resp.Status, resp.body)
	}
	cookie := p.cookie()
	d.write(t, "data/settings.json", `{"hostname": "cut o`, 0o600)
	resp := d.get("/settings", "Cookie", cookie)
	fapwstest.Equalf(t, resp.StatusCode, 200, "a damaged file: %s, %s", resp.Status, resp.body)
	d.remove(t, "data/settings.json")
	// The file cannot be written, as on a full disk.
	fapwstest.Must(t, os.Mkdir(filepath.Join(d.dir, "data/settings.json"), 0o700))
	p.run(chromedp.Navigate(d.URL + "/deep/nothing"))
	p.shows("This page does not exist.")
	p.dressed("404")
	const same, other = "same-origin", "cross-site"
	for _, c := range []struct {
		method, path, body, site string
		status                   int
	}{
		{"GET", "/nothing", "", same, 404},
		{"GET", "/console.py", "", same, 404},
		{"GET", "/www/../users", "", same, 404},
		{"GET", "/logs?log=/etc/passwd", "", same, 404},
		{"GET", "/logs/live?log=/etc/passwd", "", same, 404},
		{"POST", "/services", "name=--help&action=start", same, 400},
		{"POST", "/services", "name=nginx&action=mask", same, 400},
		{"POST", "/settings", "hostname=other", same, 422},
		{"POST", "/firmware/install", "action=install&sha256=", same, 409},
		{"POST", "/firmware/install", "action=install", other, 403},
		{"POST", "/settings", "hostname=" + strings.Repeat("a-", 1000), same, 422},
		{"GET", "/settings", "", same, 200},
		{"POST", "/settings", "hostname=other&dhcp=on", same, 500},
		{"POST", "/services", "name=nginx&action=stop", other, 403},
		{"POST", "/settings", "hostname=other", other, 403},
		{"POST", "/reboot", "", other, 403},
		{"POST", "/firmware-image", "image", other, 403},
	} {
		req := d.request(c.method, c.path, strings.NewReader(c.body), "Content-Type", urlencoded, "Sec-Fetch-Site",
			c.site, "Cookie", cookie)
		resp := d.do(req)
		fapwstest.Equalf(t, resp.StatusCode, c.status, "%s %s %.40s, %s: %s", c.method, c.path, c.body, c.site, resp.body)
		says := map[int]string{403: "a page of another site", 500: "Is a directory: "}
		fapwstest.Has(t, resp.body, says[c.status])
		fapwstest.Lacks(t, resp.body, "Traceback")
	}
	eventually(t, "nobody tries many passwords", func() bool {
		return d.get("/password", "Cookie", cookie).StatusCode == 429
	})
}

// The console has at most 940 lines of Python and JavaScript, without blank lines and comments. Its style sheet has at
// most one rule a line. No line is longer than 120 characters.
func TestConsoleSourceStaysSmall(t *testing.T) {
	code := 0
	for _, file := range slices.Concat(glob(t, "console/*.py"), glob(t, "console/*/*.js"), glob(t, "console/*/*.css")) {
		source := regexp.MustCompile(`(?ms)^ *""".*?"""$`).ReplaceAllString(fapwstest.Read(t, file), "")
		for line := range strings.Lines(source) {
			line = strings.TrimSpace(line)
			fapwstest.Truef(t, utf8.RuneCountInString(line) <= 120 &&
				(!strings.HasSuffix(file, ".css") || strings.Count(line, "{") <= 1), "%s: %s", file, line)
			if line != "" && line[0] != '#' && !strings.HasPrefix(line, "//") && !strings.HasSuffix(file, ".css") {
				code++
			}
		}
	}
	fapwstest.Truef(t, code != 0 && code <= 940, "%d lines of code, want at most 940", code)
}

func TestConsoleHasTheColorsOfTheServersPages(t *testing.T) {
	css := fapwstest.Try(os.ReadFile("console/www/console.css")).Must(t)
	for server, console := range map[string]string{"bg": "back", "box": "card", "fg": "text", "dim": "dim",
		"line": "line", "red": "bad", "do": "accent", "on": "on"} {
		colors := func(name, text string) []string {
			var found []string
			for _, one := range regexp.MustCompile(`--`+name+`:\s*(#\w+)`).FindAllStringSubmatch(text, -1) {
				found = append(found, one[1])
			}
			return found
		}
		ours, theirs := colors(server, http1.Style), colors(console, string(css))
		fapwstest.Truef(t, len(ours) == 2 && len(theirs) == 2 && ours[0] == theirs[0] && ours[1] == theirs[1],
			"--%s is %v, --%s of the console is %v", server, ours, console, theirs)
	}
}

package samples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

// A device is a running console. It shows files in a directory of the test instead of files of the machine.
type device struct {
	*server
	dir    string
	source string // copy of the sample
}

// The script replaces the command systemctl, because most machines that run the tests have no systemd. The service
// "broken" ends directly after its start, and the file "running" has the names of running services.
const systemctl = `#!/bin/sh
cd "${0%/*}/.."
case "$*" in
list-units*)
	[ -f running ] || { echo "System has not been booted with systemd as init system (PID 1)." >&2; exit 1; }
	for name in cron nginx ntpd; do
		if grep -qx $name running; then echo "$name.service loaded active running A service"
		else echo "$name.service loaded inactive dead A service"; fi
	done
	echo "broken.service loaded failed failed A service" ;;
"--no-ask-password start broken.service") ;;
"--no-ask-password start ntpd.service") echo ntpd >> running ;;
"--no-ask-password stop cron.service") echo nginx > running ;;
*) echo "Interactive authentication required." >&2; exit 1 ;;
esac
`

func (d *device) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	fapwstest.Must(t, os.Chmod(fapwstest.Write(t, filepath.Join(d.dir, name), text), mode))
}

func (d *device) remove(t *testing.T, name string) {
	t.Helper()
	fapwstest.Must(t, os.Remove(filepath.Join(d.dir, name)))
}

func (d *device) text(t *testing.T, name string) string {
	t.Helper()
	return fapwstest.TextOf(t, filepath.Join(d.dir, name))
}

// startConsole starts a copy of the sample with two workers, one of which publishes the live values.
func startConsole(t *testing.T) *device {
	t.Helper()
	d := &device{dir: t.TempDir(), source: copySample(t, "console")}
	d.write(t, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n", 0o644)
	d.write(t, "sys/class/thermal/thermal_zone0/temp", "48250\n", 0o644)
	d.write(t, "sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.5\x00", 0o644)
	d.write(t, "version", "2.4.1\n", 0o644)
	d.write(t, "proc/sys/kernel/hostname", "router\n", 0o644)
	d.write(t, "proc/sys/kernel/osrelease", "6.6.51\n", 0o644)
	d.write(t, "proc/uptime", "275650.27 1000000.00\n", 0o644)
	d.write(t, "proc/loadavg", "0.42 0.31 0.28 1/152 4711\n", 0o644)
	d.write(t, "proc/meminfo", "MemTotal: 3884360 kB\nMemFree: 1200000 kB\nMemAvailable: 2247000 kB\n", 0o644)
	d.work(t)
	d.remember(t)
	d.write(t, "log/system.log", "kernel: started\ncron: <b>job</b> 1 failed\ncron: job 2 done\n", 0o644)
	d.write(t, "running", "cron\nnginx\n", 0o644)
	d.write(t, "bin/systemctl", systemctl, 0o755)
	d.write(t, "bin/ip", "#!/bin/sh\necho '2: eth0    inet 192.168.1.20/24 brd 192.168.1.255 scope global eth0'\n", 0o755)
	d.write(t, "bin/apply", "#!/bin/sh\ncat > \"${0%/*}/../applied\"\n", 0o755)
	d.write(t, "bin/check-firmware", "#!/bin/sh\n", 0o755)
	d.write(t, "bin/install-firmware", "#!/bin/sh\ncp \"$1\" \"${0%/*}/../installed\"\n", 0o755)
	d.write(t, "bin/restart-device", "#!/bin/sh\necho now > \"${0%/*}/../restarted\"\n", 0o755)
	for name, value := range map[string]string{
		"CONSOLE_SYS": d.dir + "/sys", "CONSOLE_PROC": d.dir + "/proc", "CONSOLE_RUN": d.dir + "/run",
		"CONSOLE_VERSION": d.dir + "/version", "CONSOLE_KEEP": "6", "CONSOLE_CONFIRM": "3600",
		"CONSOLE_LOGS": d.dir + "/log/*.log", "CONSOLE_DATA": d.dir + "/data", "CONSOLE_APPLY": "apply",
		"CONSOLE_CHECK": "check-firmware", "CONSOLE_INSTALL": "install-firmware",
		"CONSOLE_REBOOT": "restart-device", "CONSOLE_SHELL": "/bin/sh -s " + d.dir, "PATH": d.dir + "/bin:" +
			os.Getenv("PATH"), "PS1": "$ ", "ENV": "",
	} {
		t.Setenv(name, value)
	}
	d.server = startServer(t, []string{"--state-dir", d.dir + "/state", "--workers", "2", "--config"},
		filepath.Join(d.source, "fapws.toml"), nil)
	return d
}

// work simulates a processor that is busy for 23 percent of the time, and traffic on a network, until the test ends.
func (d *device) work(t *testing.T) {
	start, done, ended := time.Now(), make(chan struct{}), make(chan struct{})
	count := func() {
		n := int64(time.Since(start)/(10*time.Millisecond)) + 1000
		d.write(t, "proc/stat.new", fmt.Sprintf("cpu  %d 0 0 %d 0 0 0 0 0 0\n", n*23, n*77), 0o644)
		d.write(t, "proc/net/dev.new", fmt.Sprintf("Inter-|\n face |\n    lo: 1 1 0 0 0 0 0 0 1\n  eth0: %d 1 0 0 "+
			"0 0 0 0 %d\n", n*8560, n*1470), 0o644)
		for _, name := range []string{"stat", "net/dev"} { // replace each file as a whole, like the kernel
			fapwstest.Equal(t, os.Rename(d.dir+"/proc/"+name+".new", d.dir+"/proc/"+name), nil)
		}
	}
	count()
	go func() {
		defer close(ended)
		for tick := time.NewTicker(300 * time.Millisecond); ; {
			select {
			case <-tick.C:
				count()
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
}

// remember writes values of the half hour before the start, as if the server had run earlier.
func (d *device) remember(t *testing.T) {
	hill := func(i, top, width float64) float64 { return math.Exp(-math.Pow((i-top)/width, 2)) }
	// A point is a time, in units of ten seconds, and the values.
	var points [][]any
	for n := range 180 {
		i := float64(n)
		points = append(points, []any{time.Now().Unix()/10 - 179 + int64(n), map[string][]float64{
			"CPU":          {17 + 6*math.Sin(i/9) + 4*math.Sin(i/2.3) + 46*hill(i, 118, 9)},
			"Memory":       {38 + 2*math.Sin(i/30) + 9*hill(i, 126, 22)},
			"Disk":         {11 + i/180},
			"Temperature":  {45 + math.Sin(i/14) + 9*hill(i, 124, 16) + 2*hill(i, 180, 20)},
			"Network-eth0": {6e5 + 3e5*math.Sin(i/7) + 2.2e6*hill(i, 116, 8), 2e5 + 1e5*math.Sin(i/5) + 6e5*hill(i, 122, 9)},
		}})
	}
	d.write(t, "run/history.json", string(fapwstest.Try(json.Marshal(points)).Must(t)), 0o600)
	fapwstest.Must(t, os.Chmod(d.dir+"/run", 0o700))
}

func (d *device) processes(t *testing.T, part string) (n int) {
	t.Helper()
	for _, file := range glob(t, "/proc/[0-9]*/cmdline") {
		line, _ := os.ReadFile(file) // "" if the process has ended meanwhile
		if strings.Contains(strings.ReplaceAll(string(line), "\x00", " "), part) {
			n++
		}
	}
	return n
}

// zombies returns how many child processes of the workers have ended without being waited for.
func (d *device) zombies() (n int) {
	for _, state := range d.Children() {
		if state == "Z" {
			n++
		}
	}
	return n
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	return fapwstest.Try(filepath.Glob(pattern)).Must(t)
}

var eventually = checktest.Eventually

// follow clicks, and waits until the next page shows the texts.
func (p *tab) follow(selector string, texts ...string) {
	p.t.Helper()
	click := chromedp.ActionFunc(func(context.Context) error { p.click(selector); return nil })
	_, err := chromedp.RunResponse(p.ctx, click)
	fapwstest.Mustf(p.t, err, "%s", selector)
	for _, text := range texts {
		p.shows(text)
	}
}

func (p *tab) shows(text string) {
	p.t.Helper()
	p.await(fmt.Sprintf(`document.body?.innerText.includes(%q)`, text))
}

func (p *tab) visit(page string) {
	p.t.Helper()
	p.click(".menu")
	p.follow(fmt.Sprintf(`nav a[href="/%s"]`, page))
}

func (p *tab) visitAccount(page string) {
	p.t.Helper()
	p.click(".user")
	p.follow(fmt.Sprintf(`#account a[href="/%s"]`, page))
}

// picture checks that the page fits the screens of a desktop and a phone, is small, obeys its Content-Security-Policy,
// and is accessible in light and dark mode. The modes have the same elements, so the dark mode is checked for the
// contrast of its colors only.
func (p *tab) picture(name string) {
	p.t.Helper()
	p.do(axe(p.t))
	p.screen(screens[0])
	p.scheme("dark")
	p.accessible(name+" in the dark", `{runOnly: ["color-contrast"]}`)
	p.scheme("light")
	p.accessible(name+" on a desktop", "{}")
	p.screen(screens[1])
	p.accessible(name+" on a phone", "{}")
	fapwstest.Equalf(p.t, value[string](p, "window.refused.join()"), "", "%s: Content-Security-Policy has refused", name)
	size := value[int](p, `performance.getEntries().reduce((sum, entry) => sum + (entry.decodedBodySize || 0), 0)`)
	fapwstest.Truef(p.t, size != 0 && size <= 60_000, "%s: the page and what it loads have %d bytes", name, size)
}

// screens are a desktop and a phone, and their positions in a picture.
var screens = []image.Rectangle{image.Rect(0, 22, 1280, 822), image.Rect(1330, 0, 1720, 844)}

func (p *tab) screen(size image.Rectangle) {
	p.t.Helper()
	p.run(emulation.SetDeviceMetricsOverride(int64(size.Dx()), int64(size.Dy()), 1, size.Dx() == 390))
	p.await(fmt.Sprintf("innerWidth == %d && document.documentElement.scrollWidth == innerWidth", size.Dx()))
}

// axe returns the script axe-core.
func axe(t *testing.T) string {
	t.Helper()
	files := glob(t, "../build/axe-core-*/axe.min.js")
	fapwstest.Needf(t, len(files) > 0,
		"build/axe-core-*: not found; ./build.sh test fetches it with npm, and says why if it cannot")
	return fapwstest.Read(t, files[len(files)-1])
}

func (p *tab) accessible(name, options string) {
	p.t.Helper()
	for _, one := range value[[]string](p, `axe.run(`+options+`).then(({violations}) =>
violations.map(({id, nodes}) => id + ": " +
	nodes.map(node => node.html.slice(0, 200) + " " + node.failureSummary).join("; ")))`) {
		p.t.Errorf("%s: %s", name, one)
	}
}

// keep writes a picture of both screens for the documentation into the directory that FAPWS_PICTURES names. The picture
// is reduced to its 255 most frequent colors, which makes the file half as large.
func (p *tab) keep(name string) {
	p.t.Helper()
	dir := os.Getenv("FAPWS_PICTURES")
	if dir == "" {
		return
	}
	picture := image.NewNRGBA(image.Rect(0, 0, 1280+50+390, 844))
	for _, screen := range screens {
		p.screen(screen)
		var data []byte
		p.run(chromedp.CaptureScreenshot(&data))
		draw.Draw(picture, screen, fapwstest.Try(png.Decode(bytes.NewReader(data))).Must(p.t), image.Point{}, draw.Src)
	}
	counts, bounds := map[color.Color]int{}, picture.Bounds()
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			counts[picture.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	reduced := image.NewPaletted(bounds, append(color.Palette{color.Transparent}, colors[:min(255, len(colors))]...))
	draw.Draw(reduced, bounds, picture, image.Point{}, draw.Src)
	var out bytes.Buffer
	fapwstest.Must(p.t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, reduced))
	fapwstest.Truef(p.t, out.Len() <= 150_000, "%s: the picture has %d bytes", name, out.Len())
	fapwstest.Must(p.t, os.WriteFile(filepath.Join(dir, "console"+name+".png"), out.Bytes(), 0o644))
}

func (p *tab) scheme(name string) {
	p.t.Helper()
	p.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme",
		Value: name}}))
}

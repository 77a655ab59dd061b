package samples

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func (d *device) settings(p *tab) {
	p.run(chromedp.Navigate(d.URL + "/settings"))
	fapwstest.Truef(p.t, !value[bool](p, `document.querySelector("[name=address]").checkVisibility()`),
		"the page asks for an address although DHCP gives one")
	p.picture("settings-dhcp")
	p.fill("[name=hostname]", "-router")
	p.click("[name=dhcp]")
	p.shows("After a change of the network, confirm it at the new address.")
	p.fill("[name=address]", "192.168.1.0/24")
	p.fill("[name=gateway]", "10.0.0.1")
	p.fill("[name=zone]", "../../../etc/passwd")
	p.follow(".fields button")
	p.picture("settings")
	for name, wrong := range map[string]string{
		"hostname": "-router is not a host name.",
		"address":  "192.168.1.0 is the network itself: enter one of 192.168.1.1 to 192.168.1.254.",
		"gateway":  "10.0.0.1 is outside the network 192.168.1.0/24.",
		"zone":     "../../../etc/passwd is not a rule, or a time zone that the device knows.", "ntp": "", "dns": "",
	} {
		fapwstest.Equal(p.t, p.mark(name), wrong)
	}
	fapwstest.Equal(p.t, value[string](p, `document.querySelector("[name=hostname]").value`), "-router")
	fapwstest.Equal(p.t, d.text(p.t, "data/settings.json"), "")
	want := map[string]string{"hostname": "router", "zone": "CET-1CEST,M3.5.0,M10.5.0/3", "ntp": "a.example 2001:db8::1",
		"address": "192.168.1.2/24", "gateway": "192.168.1.1", "dns": ""}
	for name, text := range want {
		p.fill("[name="+name+"]", text)
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(d.URL, "http://"))
	p.follow(".fields button", "open http://192.168.1.2:"+port+"/settings, log in there again, and confirm them there.")
	p.picture("network-changes")
	p.await(`document.getElementById("left").innerText < 3598`)
	fapwstest.Eventually(p.t, "the settings are applied", func() bool {
		return strings.Contains(d.text(p.t, "data/pending.json"), `"applied": true`)
	})
	for _, file := range []string{"data/settings.json", "applied"} {
		var kept map[string]string
		err := json.Unmarshal([]byte(d.text(p.t, file)), &kept)
		fapwstest.Truef(p.t, err == nil && maps.Equal(kept, want), "%s: %v, %v", file, kept, err)
	}
	d.remove(p.t, "data/pending.json") // a question is on each page
	p.visit("settings")
}

// mark returns the text that says what is wrong with a field, or "" if the field is not marked.
func (p *tab) mark(name string) string {
	p.t.Helper()
	return value[string](p, fmt.Sprintf(`{ const field = document.querySelector("[name=%s]"); field.ariaInvalid == "true" ? `+
		`document.getElementById(field.getAttribute("aria-describedby").split(" ")[0]).innerText : "" }`, name))
}

func (d *device) backup(p *tab) {
	resp := d.get("/backup", "Cookie", p.cookie())
	kept := resp.body
	fapwstest.Needf(p.t, resp.StatusCode == 200 &&
		strings.Contains(resp.Header.Get("Content-Disposition"), "attachment") &&
		strings.Contains(kept, `"hostname": "router"`), "%s: %s", resp.Status, kept)
	p.fill("[name=hostname]", "changed")
	p.follow(".fields button", "Saved.")
	p.await(`location.search == "?done=saved"`) // a reload of the page sends no form
	before := d.text(p.t, "data/settings.json")
	p.run(chromedp.Navigate(d.URL + "/settings"))
	restore := func(name, text string) {
		d.write(p.t, name, text, 0o644)
		p.choose("#restore [type=file]", filepath.Join(d.dir, name))
		p.click("#restore button")
	}
	for _, c := range []struct{ name, text, says string }{
		{"other.json", "{}", "Nothing was restored. This file is not a backup"},
		{"cut.json", kept[:len(kept)/2], "is not a backup"},
		{"list.json", "[" + strings.Repeat("[", 20_000), "is not a backup"},
		{"wrong.json", strings.Replace(kept, "router", "-router", 1), "Nothing was restored. Host name: -router is not a host name."},
		{"less.json", strings.Replace(kept, `"hostname"`, `"host"`, 1), "host: Unknown to this device"},
		{"large.json", strings.Repeat(" ", 70_000) + kept, "too large"},
	} {
		restore(c.name, c.text)
		p.await(fmt.Sprintf(`document.querySelector("#restore .bad").innerText.includes(%q) && `+
			`document.querySelector("[name=hostname]").value == "changed"`, c.says))
		fapwstest.Equalf(p.t, d.text(p.t, "data/settings.json"), before, "%s", c.name)
	}
	p.picture("backup-refused")
	restore("backup.json", kept)
	p.shows("The settings are restored. The device has applied them.")
	for _, file := range []string{"data/settings.json", "applied"} {
		fapwstest.Has(p.t, d.text(p.t, file), `"hostname": "router"`)
	}
	restore("older.json", regexp.MustCompile(`(?m)^ "ntp".*\n`).ReplaceAllString(kept, ""))
	p.shows("Not in the file, and as before: Time servers.")
	d.unapplied(p)
}

// unapplied saves settings that the command for applying them rejects. The form still shows the settings, and the device
// has those before.
func (d *device) unapplied(p *tab) {
	for _, c := range []struct{ refused, says string }{
		{"*", "The device has refused the old settings, too, and may have a part of the new ones. apply: no such network"},
		{"*other*", "Nothing was changed. apply: no such network"},
	} {
		d.write(p.t, "bin/apply", "#!/bin/sh\ncase $(cat) in "+c.refused+") echo no such network >&2; exit 1 ;; esac\n", 0o755)
		p.fill("[name=hostname]", "other")
		p.follow(".fields button", c.says)
	}
	fapwstest.Has(p.t, d.text(p.t, "data/settings.json"), `"hostname": "router"`)
	got := value[string](p,
		`document.querySelector("[name=hostname]").value + document.querySelectorAll(".note:not(:empty)").length`)
	fapwstest.Equal(p.t, got, "other0")
}

func (d *device) password(p *tab) {
	p.visitAccount("password")
	change := func(old, new, again string) {
		p.fill("[name=old]", old)
		p.fill("[name=new]", new)
		p.fill("[name=again]", again)
		p.follow("main button")
	}
	change("correct horse", "battery staple", "battery stable")
	p.picture("password")
	fapwstest.Equal(p.t, p.mark("again"), "This is not the same as the new password.")
	change("wrong horse", "battery staple", "battery staple")
	fapwstest.Equal(p.t, p.mark("old"), "This is not your current password.")
	change("correct horse", "short", "short")
	fapwstest.Equal(p.t, p.mark("new"), "Not accepted: the password needs at least 8 characters.")
	fapwstest.Equal(p.t, p.mark("old"), "")
	change("correct horse", "battery staple", "battery staple")
	p.shows("Your password is changed. All your sessions have ended: log in again.")
	p.follow("main a", "Log in")
	p.fill("[name=name]", "admin")
	p.fill("[name=password]", "battery staple")
	p.follow("form button")
}

func (d *device) firmware(p *tab) {
	p.visit("firmware")
	p.picture("firmware")
	image := []byte(strings.Repeat("firmware 2.0\n", 300_000))
	d.write(p.t, "image.bin", string(image), 0o644)
	p.choose("[name=image]", d.dir+"/image.bin")
	send := func(digest string) {
		// The browser keeps the form and its file.
		p.do(fmt.Sprintf(`document.querySelector("[name=sha256]").value = %q`, digest))
		p.click("main button")
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(image))
	send(strings.Repeat("0", 64))
	p.shows("Not accepted: the upload has another SHA-256 than announced")
	fapwstest.Truef(p.t, !value[bool](p, `document.querySelector("progress").checkVisibility()`),
		"the page shows progress after the end")
	d.write(p.t, "bin/check-firmware", "#!/bin/sh\necho no valid signature >&2; exit 1\n", 0o755)
	send(digest)
	p.shows("The check has refused this file: check-firmware")
	p.shows("no valid signature")
	fapwstest.Equal(p.t, d.text(p.t, "data/firmware.bin")+d.text(p.t, "installed"), "")
	d.write(p.t, "bin/check-firmware", "#!/bin/sh\nhead -n 1 \"$1\"\n", 0o755)
	p.do(`window.most = 0; new MutationObserver(() => {
	const bar = document.querySelector("progress")
	most = Math.max(most, bar?.value || 0)
}).observe(document.querySelector("progress"), {attributes: true})`)
	send(digest)
	p.shows("Install this file?")
	for _, text := range []string{"2.4.1", "firmware 2.0", "3,900,000 bytes", digest} {
		p.shows(text)
	}
	fapwstest.Truef(p.t, value[float64](p, "most") != 0, "the page has shown no progress")
	p.picture("question")
	d.install(p, string(image))
}

// install answers no to the question before the installation, uploads the file again and answers yes, and answers yes
// again after the installation has failed.
func (d *device) install(p *tab, image string) {
	again := func() {
		p.choose("[name=image]", d.dir+"/image.bin")
		p.click("main button")
		p.shows("Install this file?")
	}
	p.follow("[value=cancel]", "Upload and check")
	fapwstest.Equal(p.t, d.text(p.t, "data/firmware.bin")+d.text(p.t, "installed"), "")
	again()
	d.get("/firmware/install?action=cancel", "Cookie", p.cookie()) // a link of another site
	fapwstest.Equal(p.t, d.text(p.t, "data/firmware.bin"), image)
	d.write(p.t, "data/firmware.bin", "another", 0o644)
	p.follow("[value=install]", "Nothing was installed: the file has changed since it was checked.")
	p.visit("firmware")
	again()
	command := d.text(p.t, "bin/install-firmware")
	d.write(p.t, "bin/install-firmware", "#!/bin/sh\necho no space >&2; exit 1\n", 0o755)
	p.follow("[value=install]", "Not installed: install-firmware")
	p.picture("not-installed")
	fapwstest.Equal(p.t, d.text(p.t, "installed"), "")
	d.write(p.t, "bin/install-firmware", command, 0o755)
	p.follow("[value=install]", "Installed: 3,900,000 bytes")
	p.picture("installed")
	fapwstest.Equal(p.t, d.text(p.t, "installed"), image)
}

package settings

import (
	"strings"
	"testing"
)

// A certificate makes all TCP addresses use HTTPS. But if an address begins with "https", only such addresses use
// HTTPS.
func TestCertificateMakesTCPAddressesHTTPS(t *testing.T) {
	for _, c := range []struct{ flags, want string }{
		{"--certfile c", "https://0.0.0.0:8888"},
		{"--certfile c -b :80", "https://:80"},
		{"--certfile c -b :80 -b [::1]:81 -b /run/x -b fd://3 -b systemd",
			"https://:80 https://[::1]:81 unix:/run/x https+fd://3 https+systemd"},
		{"--certfile c -b :80 -b https://:443", ":80 https://:443"},
		{"--certfile c -b fd://3 -b https+fd://4", "fd://3 https+fd://4"},
		{"--certfile c -p 8443", "https://0.0.0.0:8443"},
		{"--certfile c --uds /run/x", "unix:/run/x"},
		{"--ssl-certfile c --ssl-keyfile k -b https://[::1]:8443/", "https://[::1]:8443"},
		{"--certfile c -b https://localhost", "https://localhost:443"},
		{"--certfile c -b https://8443", "https://0.0.0.0:8443"},
		{"--certfile c -b https+systemd", "https+systemd"},
		{"--certfile c --dev", "https://127.0.0.1:8888"},
		{"-b :80 -b fd://3", ":80 fd://3"},
	} {
		_, conf, err := places{flags: c.flags}.settle(t)
		if got := strings.Join(conf.Bind, " "); err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", c.flags, got, err, c.want)
		}
	}
	_, conf, err := places{flags: "--certfile c", script: map[string]any{"SERVER": "127.0.0.1:8080"}}.settle(t)
	if err != nil || conf.Bind[0] != "https://127.0.0.1:8080" {
		t.Errorf("SERVER: %v, %v", conf.Bind, err)
	}
	_, conf, err = places{flags: "--certfile c -p 81",
		script: map[string]any{"SERVER": "https://127.0.0.1:8080"}}.settle(t)
	if err != nil || len(conf.Bind) != 1 || conf.Bind[0] != "https://127.0.0.1:81" {
		t.Errorf("SERVER with another port: %v, %v", conf.Bind, err)
	}
}

func TestTLSSettingsThatConflictAreReportedInOneLine(t *testing.T) {
	for flags, want := range map[string]string{
		"--keyfile k": "keyfile (flag --keyfile) requires certfile",
		"--certfile a,b --keyfile k": "certfile (flag --certfile) names 2 files and keyfile (flag " +
			"--keyfile) 1",
		"--certfile a --cert-reqs 2":        "cert-reqs (flag --cert-reqs) requires ca-certs",
		"--ca-certs c --cert-reqs required": "cert-reqs (flag --cert-reqs) requires HTTPS",
		"--certfile a --ca-certs c":         "ca-certs (flag --ca-certs) requires cert-reqs",
		"-b https://:443": "https://:443 (flag --bind) requires a certificate: add --certfile " +
			"FILE --keyfile FILE",
		"-b https+fd://3":                       "https+fd://3 (flag --bind) requires a certificate",
		"--certfile c -b https://":              "https://HOST:PORT",
		"--certfile c -b https://unix:x":        "https://HOST:PORT",
		"--certfile c -b https:///run/x":        "https://HOST:PORT",
		"--certfile c -b https+:80":             "https+fd://N",
		"--certfile c -b https://https://x":     "https://HOST:PORT",
		"--certfile c --cert-reqs 3":            "one of none, optional, required",
		"--certfile c --tls-min 1.1":            "one of 1.2, 1.3",
		"--certfile c --dev -b https://[::]:80": "--dev serves this machine only",
	} {
		_, _, err := places{flags: flags}.settle(t)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", flags, err, want)
		}
	}
	for given, want := range map[string]string{"0": "none", "1": "optional", "2": "required",
		"CERT_REQUIRED": "required", "Optional": "optional"} {
		_, conf, err := places{flags: "--certfile c --ca-certs a --cert-reqs " + given}.settle(t)
		if want == "none" {
			continue
		}
		if err != nil || conf.CertReqs != want {
			t.Errorf("--cert-reqs %s: %s, %v", given, conf.CertReqs, err)
		}
	}
}

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

func TestClientCertificatesAreRequestedByWordOrNumber(t *testing.T) {
	for given, want := range map[string]string{"1": "optional", "2": "required", "CERT_REQUIRED": "required",
		"Optional": "optional"} {
		_, conf, err := places{flags: "--certfile c --ca-certs a --cert-reqs " + given}.settle(t)
		if err != nil || conf.CertReqs != want {
			t.Errorf("--cert-reqs %s: %s, %v", given, conf.CertReqs, err)
		}
	}
}

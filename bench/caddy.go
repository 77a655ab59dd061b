package main

import "fmt"

// caddyConfig writes a configuration of Caddy without the admin endpoint. Caddy answers /hello with a fixed text, or
// serves the folder.
func caddyConfig(port int, w *workload, s *settings) string {
	lines := []string{"{", "\tadmin off", "\tauto_https off", "\tskip_install_trust", "\tlog {",
		"\t\tlevel ERROR", "\t}", "}"}
	if w.tls {
		lines = append(lines, "https://"+address(port)+" {", fmt.Sprintf("\ttls %s %s {", s.certificate(), s.key()),
			"\t\tcurves x25519", "\t}")
	} else {
		lines = append(lines, "http://"+address(port)+" {")
	}
	if w.origin != nil {
		lines = append(lines, w.caddyProxy())
	} else if w.folder {
		lines = append(lines, "\troot * "+s.folder(), "\tfile_server browse")
	} else {
		lines = append(lines, "\theader Content-Type text/plain", "\trespond /hello \"Hello world!!\"")
	}
	return s.write("Caddyfile", append(lines, "}"))
}

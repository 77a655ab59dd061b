// Package samples contains scripts to learn from. The tests of package samples run each script with the built fapws
// (FAPWS_BIN, default ../build/fapws) and a real client.
package samples

import (
	"embed"
	"io/fs"
)

// The patterns exclude the files that a running sample creates in these directories, such as files of users.
//
//go:embed console/*.py console/*.md console/device.env console/fapws.toml console/examples console/pages console/www
//go:embed django/*.py django/guestbook/*.py django/guestbook/migrations/*.py django/guestbook/templates
//go:embed hello/*.py
var files embed.FS

// New maps the name of each sample that "fapws new" can copy to the command that starts the sample.
var New = map[string]string{"console": "fapws", "django": "fapws wsgi.py", "hello": "fapws hello.py"}

// Units contains settings that replace those of the systemd unit that "fapws new" writes for a sample. The terminal of
// the console shows the processes and devices of the machine, and its pages the name that the machine gets. Nobody may be
// there to start it again after a signal, which is not a failure for systemd.
var Units = map[string]map[string]string{"console": {"PrivateDevices": "no", "ProtectHostname": "no",
	"ProtectProc": "default", "Restart": "always"}}

func Open(name string) fs.FS {
	sample, _ := fs.Sub(files, name) // the names of New are valid
	return sample
}
